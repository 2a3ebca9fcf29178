"""Names of the files that predict leaves in its output folder."""

from __future__ import annotations

from footprints.network.trail_answers import TRAILS_FILE
from footprints.places.map_files import GEOJSON, KML

RESULTS = "predictions.json"
TABLES = (RESULTS, "predictions.csv", "failed_photos.csv", TRAILS_FILE)
MAPS = (GEOJSON, KML)
PICTURES = "annotated"
SHEET = "contact_sheet.jpg"
OURS = (PICTURES, SHEET, *TABLES, *MAPS, "report.html", "report_figures")  # none of the user's
