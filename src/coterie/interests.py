"""Find what a shop's products are about; the fitted form is one table of terms with weights.

Documents are products: the words of their names, categories and reviews. Term counts are weighted
by TF-IDF (Salton & Buckley 1988) and factorised into non-negative topics (Lee & Seung 1999), from
the start of Boutsidis & Gallopoulos (2008). The number of topics is the one whose topics come back
when the documents are drawn anew (Greene, O'Callaghan & Cunningham 2014). Topics are scored by a
weighted sum of terms, which is the least-squares solution for the factorisation, so that SQL does
it; the table holds what a sum needs and nothing else.
"""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning

from coterie import tables
from coterie.threads import one_thread

logger = logging.getLogger("coterie")

TOPICS_SCHEMA = pa.schema(
    [
        ("topics_version", pa.string()),
        ("fitted_as_of", pa.date32()),
        ("settings_hash", pa.string()),
        ("method", pa.string()),
        ("training_product_count", pa.int64()),
        ("vocabulary_size", pa.int64()),
        ("topic_count", pa.int64()),
        ("version_stability", pa.float64()),
        ("topic_number", pa.int64()),
        ("topic_code", pa.string()),
        ("topic_name", pa.string()),
        ("stability", pa.float64()),
        ("training_share", pa.float64()),
        ("is_continuation", pa.bool_()),
        ("continuation_similarity", pa.float64()),
        ("term", pa.string()),
        ("term_rank", pa.int64()),
        ("idf", pa.float64()),
        ("loading", pa.float64()),
        ("score_weight", pa.float64()),
    ]
)

# Numbers that topics can have: the columns of a wide table are named after them.
MAX_TOPICS = 12
MIN_LETTERS = 3
NAME_TERMS = 4
# A term is learned where at least two products and at most half of them have it.
MIN_PRODUCTS_OF_TERM = 2
MAX_SHARE_OF_TERM = 0.5
# Products for each topic, below which there are fewer topics.
PRODUCTS_PER_TOPIC = 3
# A smaller share of a product is noise of the projection.
MIN_AFFINITY = 0.05
SEED = 0


def tokens(text: str) -> list[str]:
    """Give the words of a text as the SQL macro `words_of` does, stop words included.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str
        Runs of at least three letters of any script, lower case.
    """
    letters = "".join(letter if letter.isalpha() else " " for letter in text.lower())
    return [word for word in letters.split() if len(word) >= MIN_LETTERS]


@dataclass(frozen=True)
class Topics:
    """Topics and how well they hold.

    Parameters
    ----------
    components : ndarray of float64, shape (k, t)
        How much each term belongs to each topic; rows have length 1.
    affinities : ndarray of float64, shape (n, k)
        How much each document is about each topic, in the unit of the components.
    stability : ndarray of float64, shape (k,)
        Mean cosine of each topic with its like among the topics of documents drawn anew.
    """

    components: np.ndarray
    affinities: np.ndarray
    stability: np.ndarray


def weigh_terms(counts: sparse.csr_matrix, idf: np.ndarray) -> sparse.csr_matrix:
    """Weigh term counts: ``(1 + ln count) idf``, and rows of length 1.

    Parameters
    ----------
    counts : sparse matrix, shape (n, t)
        Positive counts.
    idf : ndarray of float64, shape (t,)

    Returns
    -------
    sparse matrix of float64, shape (n, t)
        A row without terms stays empty.
    """
    weighted = sparse.csr_matrix(counts, dtype=np.float64, copy=True)
    weighted.data = 1 + np.log(weighted.data)
    weighted = weighted.multiply(idf).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sparse.diags(1 / np.where(lengths > 0, lengths, 1.0)) @ weighted


def inverse_document_frequency(counts: sparse.csr_matrix) -> np.ndarray:
    """Give ``ln((1 + n) / (1 + df)) + 1`` of each term, shape (t,)."""
    document_count, _ = counts.shape
    frequency = np.bincount(counts.indices, minlength=counts.shape[1])
    return tables.round_significant(np.log((1 + document_count) / (1 + frequency)) + 1)


def factorise(X: sparse.csr_matrix, topic_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Factorise weighted terms into non-negative topics.

    Parameters
    ----------
    X : sparse matrix, shape (n, t)
    topic_count : int
        At most ``min(n, t)``.

    Returns
    -------
    affinities : ndarray of float64, shape (n, k)
    components : ndarray of float64, shape (k, t)
        Rows of length 1; a topic that died out is left out.
    """
    with one_thread(), warnings.catch_warnings():
        # Whether topics last is measured by refits: a search that is cut short shows there.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NMF(topic_count, init="nndsvda", tol=1e-5, max_iter=1_000, random_state=SEED)
        affinities = model.fit_transform(X)
    lengths = np.sqrt((model.components_**2).sum(axis=1))
    alive = (lengths > 0) & (affinities.sum(axis=0) > 0)
    components = model.components_[alive] / lengths[alive, np.newaxis]
    return affinities[:, alive] * lengths[alive], components


def matched_similarity(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows of two matrices so that their cosines sum to the most (Kuhn 1955).

    Parameters
    ----------
    first, second : ndarray of float64, shapes (k, t) and (m, t)
        Rows of any length above 0.

    Returns
    -------
    partner : ndarray of int64, shape (k,)
        The row of `second`, -1 where none is left.
    similarity : ndarray of float64, shape (k,)
        Cosine with it, 0 where there is none.
    """
    partner = np.full(len(first), -1)
    similarity = np.zeros(len(first))
    if len(first) and len(second):
        cosines = _unit_rows(first) @ _unit_rows(second).T
        rows, columns = linear_sum_assignment(-np.round(cosines, 9))
        partner[rows], similarity[rows] = columns, cosines[rows, columns]
    return partner, similarity


def find_topics(X: sparse.csr_matrix, candidates: Sequence[int], resample_count: int) -> Topics:
    """Find topics, as many as come back best when documents are drawn anew.

    Parameters
    ----------
    X : sparse matrix, shape (n, t)
        Weighted terms, rows of length 1.
    candidates : sequence of int
        Numbers of topics to choose from; of equally stable ones (to two decimals) the fewest.
    resample_count : int
        Draws of n documents with replacement, the same ones for each candidate.

    Returns
    -------
    Topics
        In the order of their share of the documents, largest first.
    """
    rng = np.random.default_rng(SEED)
    draws = [np.sort(rng.integers(0, X.shape[0], X.shape[0])) for _ in range(resample_count)]
    best = None
    for topic_count in sorted(candidates):
        affinities, components = factorise(X, topic_count)
        similarities = [
            matched_similarity(components, factorise(X[rows], topic_count)[1])[1] for rows in draws
        ]
        stability = np.mean(similarities, axis=0)
        rank = round(float(stability.mean()), 2)
        logger.info("%d topics: stability %.3f", topic_count, stability.mean())
        if best is None or rank > best[0]:
            best = (rank, Topics(components, affinities, stability))
    found = best[1]
    order = np.lexsort([np.arange(len(found.stability)), -np.round(_shares(found.affinities), 9)])
    return Topics(found.components[order], found.affinities[:, order], found.stability[order])


def score_weights(components: np.ndarray) -> np.ndarray:
    """Give the weights whose sum over a document's terms is its affinity.

    ``min |x - a H|`` has the solution ``a = x pinv(H)``, of which negative ones count as 0.

    Parameters
    ----------
    components : ndarray of float64, shape (k, t)

    Returns
    -------
    ndarray of float64, shape (k, t)
        Weights of either sign.
    """
    with one_thread():
        return np.linalg.pinv(components).T


def fit_topics(
    documents: pa.Table,
    stored: pa.Table | None,
    *,
    as_of_date: datetime.date | None,
    settings: Mapping[str, Any],
) -> pa.Table:
    """Fit topics where a fit is due.

    Parameters
    ----------
    documents : pa.Table
        Columns product_id, source_name, term, term_count: the words of each product (source_name
        ``text``) and its category as a whole (``category``).
    stored : pa.Table or None
        `TOPICS_SCHEMA` of the versions fitted so far.
    as_of_date : date or None
        None (no data yet) fits nothing.
    settings : mapping
        settings_hash, refit_interval_days, and optionally code_version, is_empty ("True" fits
        nothing), min_topics (8), max_topics (12), min_product_count (20), max_terms (2000),
        terms_per_topic (150), resample_count (5) and min_similarity (0.5).

    Returns
    -------
    pa.Table
        `TOPICS_SCHEMA`: one row for each topic and term. method is ``nmf``, or ``category`` where
        fewer than min_product_count products have words in common: then the largest categories
        are the topics. Topics that continue a stored one (cosine of at least min_similarity) keep
        its number. No rows where nothing is due, or products have neither words nor categories.

    Raises
    ------
    ValueError
        If a column or a setting is missing, or a setting is out of range.
    """
    empty = TOPICS_SCHEMA.empty_table()
    as_of_date = tables.as_date(as_of_date)
    if as_of_date is None or tables.is_true(settings.get("is_empty")) or not documents.num_rows:
        return empty
    settings_hash = tables.read_setting(settings, "settings_hash", str)
    min_topics = tables.read_setting(settings, "min_topics", int, 8)
    max_topics = tables.read_setting(settings, "max_topics", int, MAX_TOPICS)
    if not 2 <= min_topics <= max_topics <= MAX_TOPICS:
        raise ValueError(
            f"min_topics is {min_topics} and max_topics {max_topics}; choose "
            f"2 <= min_topics <= max_topics <= {MAX_TOPICS}."
        )
    is_due = tables.fit_is_due(
        stored,
        as_of_date=as_of_date,
        settings_hash=settings_hash,
        refit_interval_days=tables.read_setting(settings, "refit_interval_days", int),
    )
    if not is_due:
        return empty

    columns = ["product_id", "source_name", "term", "term_count"]
    tables.require_columns(documents, columns, "the table of terms")
    documents = documents.select(columns)
    tables.refuse_duplicates(documents, columns[:3], "the table of terms")
    terms, counts = _read_counts(
        documents.filter(pc.equal(documents["source_name"], "text")),
        tables.read_setting(settings, "max_terms", int, 2_000),
    )
    is_text = counts.shape[0] >= tables.read_setting(settings, "min_product_count", int, 20)
    largest = min(max_topics, counts.shape[0] // PRODUCTS_PER_TOPIC, len(terms) // 2)
    if is_text and largest >= 2:
        idf = inverse_document_frequency(counts)
        X = weigh_terms(counts, idf)
        candidates = range(min(min_topics, largest), largest + 1)
        resample_count = tables.read_setting(settings, "resample_count", int, 5)
        topics = find_topics(X, candidates, resample_count)
        kept = tables.read_setting(settings, "terms_per_topic", int, 150)
        rows = _text_rows(topics, X, terms, idf, kept)
        facts = {"method": "nmf", "training_product_count": X.shape[0]}
    else:
        categories = documents.filter(pc.equal(documents["source_name"], "category"))
        rows = _category_rows(categories, max_topics)
        facts = {
            "method": "category",
            "training_product_count": len(pc.unique(categories["product_id"])),
        }
    if not rows:
        logger.info("products have neither words in common nor categories, no topics")
        return empty

    min_similarity = tables.read_setting(settings, "min_similarity", float, 0.5)
    numbers, similarities = _continue_numbers(rows, stored, as_of_date, min_similarity)
    stabilities = [topic["stability"] for topic in rows]
    facts |= {
        "fitted_as_of": as_of_date,
        "settings_hash": settings_hash,
        "vocabulary_size": len(terms) if facts["method"] == "nmf" else len(rows),
        "topic_count": len(rows),
        "version_stability": (
            None if None in stabilities else float(tables.round_significant(np.mean(stabilities)))
        ),
        "topics_version": tables.version_hash(
            tables.read_setting(settings, "code_version", str, ""),
            settings_hash,
            as_of_date,
            tables.fingerprint(documents, columns),
        ),
    }
    fitted = []
    for topic, number, similarity in zip(rows, numbers, similarities, strict=True):
        constants = facts | {
            "topic_number": number,
            "topic_code": f"topic_{number}",
            "topic_name": ", ".join(topic["term"][:NAME_TERMS]),
            "stability": topic["stability"],
            "training_share": topic["training_share"],
            "is_continuation": similarity is not None,
            "continuation_similarity": similarity,
        }
        term_count = len(topic["term"])
        columns = {name: [value] * term_count for name, value in constants.items()}
        columns |= {name: topic[name] for name in ("term", "idf", "loading", "score_weight")}
        columns["term_rank"] = list(range(1, term_count + 1))
        fitted.append(
            pa.table({name: columns[name] for name in TOPICS_SCHEMA.names}, schema=TOPICS_SCHEMA)
        )
    logger.info("fitted %d topics as of %s by %s", len(rows), as_of_date, facts["method"])
    return pa.concat_tables(fitted).combine_chunks()


def score_products(documents: pa.Table, topics: pa.Table, min_fit: float = 0.1) -> pa.Table:
    """Tell how much products are about topics, as the SQL of `int_coterie__product_interests` does.

    Parameters
    ----------
    documents : pa.Table
        As for `fit_topics`.
    topics : pa.Table
        The rows of one version of `TOPICS_SCHEMA`.
    min_fit : float
        Products whose scores together are under this share of the length of their terms are of no
        topic.

    Returns
    -------
    pa.Table
        Columns product_id, topic_code and affinity, 0 to 1: one row for each product and topic
        that it is about. The affinities of a product sum to 1; a product of no topic has no row.
    """
    source = "text" if topics["method"][0].as_py() == "nmf" else "category"
    documents = documents.filter(pc.equal(documents["source_name"], source))
    weights: dict[str, dict[str, float]] = {}
    idf: dict[str, float] = {}
    for row in topics.select(["topic_code", "term", "idf", "score_weight"]).to_pylist():
        of_term = weights.setdefault(row["term"], {})
        of_term[row["topic_code"]] = row["score_weight"]
        idf[row["term"]] = row["idf"]
    scores: dict[str, dict[str, float]] = {}
    squares: dict[str, float] = {}
    for row in documents.sort_by([("product_id", "ascending"), ("term", "ascending")]).to_pylist():
        if row["term"] not in weights:
            continue
        product = row["product_id"]
        weighted = (1 + np.log(row["term_count"])) * idf[row["term"]]
        squares[product] = squares.get(product, 0.0) + weighted**2
        of_product = scores.setdefault(product, {})
        for topic, weight in weights[row["term"]].items():
            of_product[topic] = of_product.get(topic, 0.0) + weighted * weight
    rows = []
    for product, of_product in scores.items():
        positive = {topic: max(round(score, 9), 0.0) for topic, score in of_product.items()}
        total = sum(positive.values())
        if round(total / np.sqrt(squares[product]), 9) < min_fit:
            continue
        large = {t: s / total for t, s in positive.items() if s > 0 and s >= MIN_AFFINITY * total}
        rows += [(product, topic, share / sum(large.values())) for topic, share in large.items()]
    rows.sort()
    names = {"product_id": pa.string(), "topic_code": pa.string(), "affinity": pa.float64()}
    values = zip(*rows, strict=True) if rows else ([], [], [])
    return pa.table(dict(zip(names, map(list, values), strict=True)), schema=pa.schema(names))


def _unit_rows(matrix: np.ndarray) -> np.ndarray:
    lengths = np.sqrt((matrix**2).sum(axis=1, keepdims=True))
    return matrix / np.where(lengths > 0, lengths, 1.0)


def _shares(affinities: np.ndarray) -> np.ndarray:
    """Give the share of the documents that each topic has, shape (k,)."""
    totals = affinities.sum(axis=1)
    return (affinities[totals > 0] / totals[totals > 0, np.newaxis]).sum(axis=0) / len(affinities)


def _read_counts(texts: pa.Table, max_terms: int) -> tuple[list[str], sparse.csr_matrix]:
    """Read terms and counts of the vocabulary, both in the order of their keys."""
    product, products = _codes(texts["product_id"])
    term, terms = _codes(texts["term"])
    frequency = np.bincount(term, minlength=len(terms))
    is_known = frequency >= MIN_PRODUCTS_OF_TERM
    is_known &= frequency <= max(MIN_PRODUCTS_OF_TERM, MAX_SHARE_OF_TERM * len(products))
    vocabulary = np.flatnonzero(is_known)
    # The most frequent ones; of equally frequent ones the first in the alphabet.
    vocabulary = np.sort(vocabulary[np.argsort(-frequency[vocabulary], kind="stable")][:max_terms])
    position = np.full(len(terms), -1)
    position[vocabulary] = np.arange(len(vocabulary))
    is_kept = position[term] >= 0
    values = texts["term_count"].cast(pa.float64()).to_numpy()[is_kept]
    places = (product[is_kept], position[term[is_kept]])
    counts = sparse.csr_matrix((values, places), shape=(len(products), len(vocabulary)))
    counts.sort_indices()
    return [terms[i] for i in vocabulary], counts[np.diff(counts.indptr) > 0]


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Give each text its place in the sorted list of all, and the list."""
    texts = column.cast(pa.string()).to_pylist()
    known = sorted(set(texts))
    place = {text: i for i, text in enumerate(known)}
    return np.array([place[text] for text in texts], dtype=np.int64), known


def _text_rows(
    topics: Topics, X: sparse.csr_matrix, terms: list[str], idf: np.ndarray, kept: int
) -> list[dict[str, Any]]:
    """Give each topic its terms: those that name it, and those that weigh most in scores."""
    weights = score_weights(topics.components)
    term_size = np.sqrt(np.asarray(X.multiply(X).sum(axis=0)).ravel())
    shares = _shares(topics.affinities)
    rows = []
    for number, component in enumerate(topics.components):
        loading = tables.round_significant(component)
        naming = np.argsort(-np.round(loading, 9), kind="stable")[:NAME_TERMS]
        size = np.round(np.abs(weights[number]) * term_size, 9)
        size[naming] = np.inf
        chosen = np.argsort(-size, kind="stable")[:kept]
        chosen = chosen[np.argsort(-np.round(loading[chosen], 9), kind="stable")]
        rows.append(
            {
                "stability": float(tables.round_significant(topics.stability[number])),
                "training_share": float(tables.round_significant(shares[number])),
                "term": [terms[i] for i in chosen],
                "idf": idf[chosen],
                "loading": loading[chosen],
                "score_weight": tables.round_significant(weights[number][chosen]),
            }
        )
    return rows


def _category_rows(categories: pa.Table, max_topics: int) -> list[dict[str, Any]]:
    """Give one topic to each of the largest categories."""
    _, products = _codes(categories["product_id"])
    category, names = _codes(categories["term"])
    sizes = np.bincount(category, minlength=len(names))
    largest = np.argsort(-sizes, kind="stable")[:max_topics]
    return [
        {
            "stability": None,
            "training_share": float(tables.round_significant(sizes[i] / len(products))),
            "term": [names[i]],
            "idf": [1.0],
            "loading": [1.0],
            "score_weight": [1.0],
        }
        for i in largest
    ]


def _continue_numbers(
    rows: list[dict[str, Any]],
    stored: pa.Table | None,
    as_of_date: datetime.date,
    min_similarity: float,
) -> tuple[list[int], list[float | None]]:
    """Give topics the numbers of the stored ones that they continue, and others free numbers."""
    held = [row for row in stored.to_pylist() if row["fitted_as_of"]] if stored else []
    held = [row for row in held if tables.as_date(row["fitted_as_of"]) <= as_of_date]
    last_used: dict[int, datetime.date] = {}
    for row in held:
        fitted_as_of = tables.as_date(row["fitted_as_of"])
        number = row["topic_number"]
        last_used[number] = max(fitted_as_of, last_used.get(number, fitted_as_of))
    numbers: list[int | None] = [None] * len(rows)
    similarities: list[float | None] = [None] * len(rows)
    if held:
        newest = max(
            held, key=lambda row: (tables.as_date(row["fitted_as_of"]), row["topics_version"])
        )
        held = [row for row in held if row["topics_version"] == newest["topics_version"]]
        held_numbers = sorted({row["topic_number"] for row in held})
        terms = sorted({row["term"] for row in held}.union(*(topic["term"] for topic in rows)))
        place = {term: i for i, term in enumerate(terms)}
        then = np.zeros((len(held_numbers), len(terms)))
        for row in held:
            then[held_numbers.index(row["topic_number"]), place[row["term"]]] = row["loading"]
        now = np.zeros((len(rows), len(terms)))
        for i, topic in enumerate(rows):
            now[i, [place[term] for term in topic["term"]]] = topic["loading"]
        partner, similarity = matched_similarity(now, then)
        for i, (j, cosine) in enumerate(zip(partner, similarity, strict=True)):
            if cosine >= min_similarity:
                numbers[i] = held_numbers[j]
                similarities[i] = float(tables.round_significant(cosine))
    # A number that another topic had once is given again only where no other is left.
    free = [number for number in range(1, MAX_TOPICS + 1) if number not in numbers]
    free.sort(key=lambda number: (last_used.get(number, datetime.date.min), number))
    return [free.pop(0) if number is None else number for number in numbers], similarities
