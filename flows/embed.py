"""Stage embed: image and prompt features of every validated picture (``python -m flows.embed``)."""

from __future__ import annotations

import sys

from flows.runtime import here, main, stage, step
from pamela.features import embed as features
from pamela.features.factory import PRECOMPUTED
from pamela.features.prompts import prompt_notes

list_images = step("list validated images")(features.list_images)
open_encoder = step("open encoder")(features.open_encoder)
ask_workers = step("ask workers for their encoder")(features.encoder_of_workers)
encode_images = step("encode new images")(features.encode_new_images)
encode_prompts = step("encode new prompts")(features.encode_new_prompts)
collect = step("collect features")(features.cached_features)
read_shipped = step("read precomputed features")(features.read_shipped)
write_features = step("write features")(features.write_features)


@stage("embed")
def embed() -> None:
    """Encode what is new and write ``data/features/``."""
    project, params = here()
    images = list_images(project)
    if params.embed.encoder == PRECOMPUTED:
        found = read_shipped(project, images)
    else:
        encoder = open_encoder(params.embed)
        print(f"embed: {features.describe(encoder)}")
        with features.open_workers(params, encoder) as workers:
            if workers:
                encoder = ask_workers(project, encoder, images, workers)
            n_images = encode_images(project, encoder, images, workers)
            n_prompts = encode_prompts(project, encoder, images, workers)
        print(f"embed: {n_images} new pictures and {n_prompts} new prompts encoded")
        found = collect(project, encoder, images)
        for note in prompt_notes(found.details["prompts"], encoder.name):
            print(f"embed: warning: {note}", file=sys.stderr)
    write_features(project, images, found)


if __name__ == "__main__":
    main(embed)
