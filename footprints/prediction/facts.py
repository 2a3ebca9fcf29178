"""What predictions.json says of a run, and the digest by which two runs are the same."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from footprints.cluster.flags import flags_of
from footprints.cluster.shard_note import digest_of_names
from footprints.pictures.scales import scales_of
from footprints.prediction.request import Request
from footprints.scores.calibration import weakness
from footprints.scores.region import training_prior
from footprints.system.files import sha256_of
from footprints.system.settings import Settings
from footprints.system.text import printable


def header_of(request: Request, complete: bool) -> dict[str, Any]:
    """Return what predictions.json says of the run."""
    metadata, detector, settings = request.metadata, request.detector, request.settings
    return {
        "complete": complete,
        "model": printable(request.args.model),
        "model_sha256": sha256_of(request.args.model),
        "detector": None if detector is None else printable(detector),
        "detector_sha256": None if detector is None else sha256_of(detector),
        "classes": metadata["classes"],
        "scales": scales_of(metadata),
        "temperature": metadata.get("temperature") or 1.0,
        "threshold": request.rules.threshold,
        **_rule_facts(request),
        "note": weakness(metadata),
        "settings": {f.name: getattr(settings, f.name) for f in fields(Settings)},
        "photos_dir": printable(request.root),
        **({"strip_location": True} if request.privacy.strip else {}),
        **({"round_location_km": km} if (km := request.privacy.round_km) is not None else {}),
    }


def _rule_facts(request: Request) -> dict[str, Any]:
    """Return what predictions.json says of trails, groups, region and refusal, if any."""
    groups, region = request.rules.groups, request.rules.region
    args, facts = request.args, dict[str, Any]()
    if args.all_boxes or args.trails != "off":
        facts["all_boxes"] = True
    if args.trails != "off":
        facts["trails_by"] = args.trails
    if args.trails == "time":
        facts |= {"trail_minutes": args.trail_minutes, "trail_metres": args.trail_metres}
    if groups:
        facts |= groups.facts() | {"group_threshold": groups.threshold_in_use}
    if region is not None:
        occurring = zip(request.rules.classes, region.factors.tolist(), strict=True)
        facts["region"] = {
            "file": printable(args.region_list),
            "kind": region.kind,
            "factors": {name: round(factor, 6) for name, factor in occurring if factor > 0},
        }
        prior = training_prior(request.metadata, len(request.rules.classes))
        facts["region"]["training_prior"] = [round(one, 6) for one in prior.tolist()]
    if (refusal := request.rules.refusal) is not None:
        facts["refusal"] = {"rule": refusal.rule, "cut": refusal.cut}
    return facts


def run_digest(request: Request) -> str:
    """Return a digest of all that an answer depends on beside the photo."""
    facts = header_of(request, True)
    for name in ("complete", "model", "detector", "photos_dir", "note"):  # where, not what
        del facts[name]
    flags = flags_of(request.args, "photos", "model", "detector", "annotate", "contact_sheet")
    return digest_of_names([json.dumps([facts, flags], sort_keys=True)])
