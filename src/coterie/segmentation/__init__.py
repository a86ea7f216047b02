"""Group customers into a few segments that stay; the fitted form is one table of centers.

`segmenter` has the estimator in the manner of scikit-learn, on `scaling` (from raw features to
the space of the centers) and `clusters` (the algorithms). Each algorithm ends as centers, weights
and offsets, so that SQL assigns customers exactly as the library does. `fitting` fits the
segmentations that are due, `identity` says which segment is which of the version before, so that
codes and names stay, `quality` measures how stable a version is and what it tells about revenue,
`naming` finds the words, and `definitions` reads stored versions.
"""

from coterie.segmentation.clusters import ALGORITHMS, elbow
from coterie.segmentation.definitions import (
    SEGMENTS_SCHEMA,
    UNASSIGNED,
    SegmentDefinitions,
    newest_version,
    stored_definitions,
)
from coterie.segmentation.fitting import choose_segmenter, fit_segments
from coterie.segmentation.identity import (
    SEGMENT_LINEAGE_SCHEMA,
    jaccard,
    lineage_rows,
    match_segments,
    segment_lineage,
)
from coterie.segmentation.naming import segment_description, segment_names
from coterie.segmentation.quality import (
    SEGMENTATION_QUALITY_SCHEMA,
    bootstrap_agreement,
    explained_share,
    segmentation_quality,
)
from coterie.segmentation.scaling import feature_weights, signed_log1p
from coterie.segmentation.segmenter import CustomerSegmenter

__all__ = [
    "ALGORITHMS",
    "SEGMENTATION_QUALITY_SCHEMA",
    "SEGMENTS_SCHEMA",
    "SEGMENT_LINEAGE_SCHEMA",
    "UNASSIGNED",
    "CustomerSegmenter",
    "SegmentDefinitions",
    "bootstrap_agreement",
    "choose_segmenter",
    "elbow",
    "explained_share",
    "feature_weights",
    "fit_segments",
    "jaccard",
    "lineage_rows",
    "match_segments",
    "newest_version",
    "segment_description",
    "segment_lineage",
    "segment_names",
    "segmentation_quality",
    "signed_log1p",
    "stored_definitions",
]
