"""Which backdrop and which clutter go together: every group of pictures has settings of its own."""

from __future__ import annotations

from typing import Final

from pamela.synthetic.rendering.backdrops import indoors, outdoors, props, town
from pamela.synthetic.rendering.layout import Setting

SETTINGS: Final = {
    # landscapes
    "meadow": Setting(outdoors.meadow, props.plant, props.bird),
    "desert": Setting(outdoors.desert, props.cactus, props.bird),
    "shore": Setting(outdoors.shore, props.floating, props.bird),
    # cityscapes; portraits; still lifes; flower paintings
    "town": Setting(town.town, props.townsfolk, props.bunting),
    "drapery": Setting(indoors.drapery, props.furniture, props.frame),
    "table": Setting(indoors.table, props.vessel_or_fruit, props.frame),
    "bower": Setting(indoors.bower, props.petals, props.butterfly),
    # photographs
    "pasture": Setting(outdoors.pasture, props.flowers, props.bird),
    "plaza": Setting(town.plaza, props.plaza_thing, props.bird),
    "road": Setting(town.road, props.roadside, props.bird),
    "corridor": Setting(indoors.corridor, props.furniture, props.frame),
    "lamplit": Setting(outdoors.lamplit, props.townsfolk, props.rain_lamp),
    "runway": Setting(indoors.runway, props.audience, props.spotlamp),
    "kitchen": Setting(indoors.kitchen, props.tableware, props.pan),
    "living room": Setting(indoors.living_room, props.furniture, props.bulbs),
    "terrace": Setting(indoors.terrace, props.furniture, props.bulbs),
    "studio": Setting(indoors.studio, props.block, props.mobile),
    "night": Setting(outdoors.night, props.night_thing, props.star),
    "cosmos": Setting(outdoors.cosmos, props.night_thing, props.star),
    "stadium": Setting(town.stadium, props.sports_thing, props.bunting),
    "alley": Setting(town.alley, props.townsfolk, props.bunting),
    "bay": Setting(outdoors.bay, props.floating, props.bird),
}
