"""What the shop sells, who its customers are, and what is wrong with its tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STARTED_ON = np.datetime64("2023-10-01")
AS_OF_DATE = np.datetime64("2025-10-01")
EVENTS_SINCE = np.datetime64("2024-07-01")
EARLIEST_START = np.datetime64("2021-10-01")
DAY_COUNT = int((AS_OF_DATE - STARTED_ON).astype(int))
HORIZON_DAYS = 30
CHUNK_SIZE = 1_000
MAX_SESSIONS = 4
SECONDS_A_DAY = 86_400

INPUTS = (
    "orders",
    "customers",
    "order_lines",
    "products",
    "events",
    "identities",
    "messages",
    "feedback",
)
"""The tables of the shop; `generate_demo` adds ``truth`` and ``truth_dirty``."""

LISTS = ("seed_audiences", "consents", "erasure_requests")
"""Tables that people of the shop keep beside `INPUTS`: clean, and in no order of time."""


@dataclass(frozen=True)
class Shop:
    """How much happens in the shop; the customers, groups and rules are the same in all.

    Parameters
    ----------
    started_on : numpy.datetime64
        The first day of orders; day 0 of the process is `STARTED_ON` in every shop.
    events_since : numpy.datetime64
        The first day of events.
    newsletter_count : int
        Monthly newsletters, the last in the month before `AS_OF_DATE`.
    joining_share : float
        Share of the shop's time after which nobody joins.
    pace : float
        Missions start this many times as often as the group's `gap_days` says.
    basket : float
        Factor on the mean number of order lines beyond the first.
    extra_views : float
        Mean number of product views that every session has beyond the usual ones.
    dirt : int
        Factor on `DIRTY_ROWS`.

    Raises
    ------
    ValueError
        If a parameter is out of the range in which the shop makes sense.
    """

    started_on: np.datetime64 = STARTED_ON
    events_since: np.datetime64 = EVENTS_SINCE
    newsletter_count: int = 12
    joining_share: float = 0.98
    pace: float = 1.0
    basket: float = 1.0
    extra_views: float = 0.0
    dirt: int = 1

    def __post_init__(self) -> None:
        if not EARLIEST_START <= self.started_on <= STARTED_ON:
            raise ValueError(
                f"started_on is {self.started_on}: choose a day from {EARLIEST_START}, when the "
                f"first products are out, to {STARTED_ON}"
            )
        if not self.started_on <= self.events_since < AS_OF_DATE:
            raise ValueError(
                f"events_since is {self.events_since}: choose a day from {self.started_on} on and "
                f"before {AS_OF_DATE}"
            )
        for name, low, high in (
            ("newsletter_count", 1, 18),
            ("joining_share", 0.5, 1),
            ("pace", 0.2, 3),
            ("basket", 0, 8),
            ("extra_views", 0, 10),
            ("dirt", 1, 6),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} is {getattr(self, name)}: choose a number from {low} to {high}"
                )

    @property
    def first_day(self) -> int:
        """The first day of orders, as a day of the process."""
        return int((self.started_on - STARTED_ON).astype(int))


QUIET = Shop()
"""The shop of ``seeds/demo``: two years, about 5 orders and 12 events per customer."""

BUSY = Shop(
    started_on=np.datetime64("2022-10-01"),
    events_since=np.datetime64("2022-10-01"),
    newsletter_count=18,
    joining_share=1.0,
    pace=1.65,
    basket=3.7,
    extra_views=1.0,
    dirt=3,
)
"""Three years, about 10 orders, 30 order lines and 50 events per customer."""

# Demand by month, January first: a peak before Christmas, a dip in February and in July.
SEASON = np.array([0.92, 0.72, 0.92, 0.97, 1.0, 0.96, 0.76, 0.92, 1.0, 1.06, 1.36, 1.41])

CANCELLED_SHARE = 0.022
PENDING_SHARE = 0.004
TEST_SHARE = 0.003
MISSING_STATUS_SHARE = 0.04
FULL_REFUND_SHARE = 0.012
PARTIAL_REFUND_SHARE = 0.03
INVALID_SHARE = CANCELLED_SHARE + PENDING_SHARE + TEST_SHARE
VALID_SHARE = (1 - INVALID_SHARE) * (1 - FULL_REFUND_SHARE)


@dataclass(frozen=True)
class Group:
    """What the customers of one planted group have in common.

    Parameters
    ----------
    name : str
        The planted group.
    share : float
        Share of all customers.
    gap_days : float
        Mean days from the end of a mission to the start of the next.
    gap_spread : float
        Standard deviation of the logarithm of `gap_days` among customers.
    regularity : float
        Shape of the Weibull gaps; 1 is memoryless, larger is steadier.
    session_chance : float
        Chance of a session on each further day of a mission.
    cart_chance : float
        Chance that a session fills the cart, which then stays full.
    end_chance : float
        Chance that the mission ends with a session; it always ends with the fourth.
    order_chance : tuple of float
        Chance that a mission ends with an order, without and with a cart.
    first_order_chance : tuple of float
        The same for the first mission.
    quits_per_year : float
        Rate at which customers quit for ever.
    quits_after_order : float
        Chance to quit for ever with an order.
    browses_per_day : float
        Chance of a session outside missions.
    early_share : float
        Share of customers who signed up before the first day of the data.
    price_level : float
        The list price that its customers like best.
    price_spread : float
        Standard deviation of the logarithm of the prices they choose.
    extra_lines : float
        Mean number of order lines beyond the first.
    extra_quantity : float
        Mean quantity of a line beyond the first piece.
    coupon_share : float
        Mean share of orders with a coupon.
    store_share : float
        Mean share of orders in a store.
    """

    name: str
    share: float
    gap_days: float
    gap_spread: float
    regularity: float
    session_chance: float
    cart_chance: float
    end_chance: float
    order_chance: tuple[float, float]
    first_order_chance: tuple[float, float]
    quits_per_year: float
    quits_after_order: float
    browses_per_day: float
    early_share: float
    price_level: float
    price_spread: float
    extra_lines: float
    extra_quantity: float
    coupon_share: float
    store_share: float


GROUPS = (
    Group(
        name="regulars",
        share=0.105,
        gap_days=28.0,
        gap_spread=0.15,
        regularity=3.0,
        session_chance=0.35,
        cart_chance=0.45,
        end_chance=0.40,
        order_chance=(0.62, 0.93),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.075,
        quits_after_order=0.0,
        browses_per_day=0.012,
        early_share=0.60,
        price_level=48.0,
        price_spread=0.55,
        extra_lines=0.9,
        extra_quantity=0.12,
        coupon_share=0.10,
        store_share=0.15,
    ),
    Group(
        name="big_spenders",
        share=0.15,
        gap_days=68.0,
        gap_spread=0.2,
        regularity=2.2,
        session_chance=0.13,
        cart_chance=0.40,
        end_chance=0.30,
        order_chance=(0.40, 0.92),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.055,
        quits_after_order=0.0,
        browses_per_day=0.008,
        early_share=0.60,
        price_level=122.0,
        price_spread=0.5,
        extra_lines=1.0,
        extra_quantity=0.15,
        coupon_share=0.06,
        store_share=0.10,
    ),
    Group(
        name="bargain_hunters",
        share=0.065,
        gap_days=13.0,
        gap_spread=0.22,
        regularity=1.4,
        session_chance=0.50,
        cart_chance=0.50,
        end_chance=0.40,
        order_chance=(0.45, 0.85),
        first_order_chance=(0.80, 0.98),
        quits_per_year=0.08,
        quits_after_order=0.0,
        browses_per_day=0.014,
        early_share=0.45,
        price_level=11.0,
        price_spread=0.45,
        extra_lines=0.2,
        extra_quantity=0.30,
        coupon_share=0.60,
        store_share=0.05,
    ),
    Group(
        name="one_timers",
        share=0.2,
        gap_days=120.0,
        gap_spread=0.40,
        regularity=1.0,
        session_chance=0.40,
        cart_chance=0.50,
        end_chance=0.45,
        order_chance=(0.20, 0.60),
        first_order_chance=(0.97, 0.99),
        quits_per_year=0.30,
        quits_after_order=0.88,
        browses_per_day=0.008,
        early_share=0.0,
        price_level=50.0,
        price_spread=0.32,
        extra_lines=0.2,
        extra_quantity=0.10,
        coupon_share=0.20,
        store_share=0.15,
    ),
    Group(
        name="drifted",
        share=0.34,
        gap_days=42.0,
        gap_spread=0.40,
        regularity=1.5,
        session_chance=0.50,
        cart_chance=0.50,
        end_chance=0.45,
        order_chance=(0.40, 0.80),
        first_order_chance=(0.97, 0.99),
        quits_per_year=0.10,
        quits_after_order=0.62,
        browses_per_day=0.015,
        early_share=0.55,
        price_level=44.0,
        price_spread=0.6,
        extra_lines=0.4,
        extra_quantity=0.10,
        coupon_share=0.18,
        store_share=0.15,
    ),
    Group(
        name="prospects",
        share=0.14,
        gap_days=50.0,
        gap_spread=0.50,
        regularity=1.0,
        session_chance=0.30,
        cart_chance=0.15,
        end_chance=0.50,
        order_chance=(0.005, 0.03),
        first_order_chance=(0.0, 0.0),
        quits_per_year=0.60,
        quits_after_order=0.20,
        browses_per_day=0.014,
        early_share=0.20,
        price_level=38.0,
        price_spread=0.6,
        extra_lines=0.40,
        extra_quantity=0.10,
        coupon_share=0.20,
        store_share=0.05,
    ),
)

TASTES = ("home", "active", "family", "style")
# Name, taste, popularity.
CATEGORIES = (
    ("kitchen", "home", 1.25),
    ("coffee", "home", 1.15),
    ("fitness", "active", 1.0),
    ("outdoor", "active", 0.9),
    ("garden", "family", 0.9),
    ("kids", "family", 1.05),
    ("beauty", "style", 1.2),
    ("audio", "style", 0.8),
)
# The products of each category with their list prices; no two share a name.
PRODUCTS = {
    "kitchen": (
        "Chopping board 18, Chef's knife 46, Storage jars 15, Cast iron pan 64, "
        "Baking tray 13, Stand mixer 189, Tea towels 9, Salad bowl 24"
    ),
    "coffee": (
        "Coffee grinder 79, Coffee beans 12, Pour-over set 38, "
        "Paper filters 6, Espresso machine 249, Milk jug 16, Travel mug 22"
    ),
    "fitness": (
        "Yoga mat 29, Yoga blocks 14, Kettlebell 42, Resistance bands 17, "
        "Rowing machine 299, Foam roller 25, Skipping rope 11, Weight bench 129"
    ),
    "outdoor": (
        "Two-person tent 159, Tent pegs 9, Sleeping bag 84, "
        "Head torch 27, Rucksack 96, Water bottle 15, Camping stove 49"
    ),
    "garden": (
        "Raised bed 74, Seed box 12, Hand trowel 14, "
        "Watering can 23, Garden bench 179, Plant pots 19, Pruning shears 33"
    ),
    "kids": (
        "Wooden blocks 24, Picture book 10, Train set 58, Train tracks 21, "
        "Balance bike 88, Craft box 17, Play kitchen 139, Night light 20"
    ),
    "beauty": (
        "Face cream 26, Cleansing gel 13, Hand balm 8, Bath salts 11, "
        "Hair dryer 99, Hair brush 16, Gift set 47, Facial steamer 145"
    ),
    "audio": (
        "Headphones 119, Earphones 39, Portable speaker 69, "
        "Phone stand 14, Record player 219, Record brush 10, Charging cable 12"
    ),
}
BRANDS = ("Orrinfold", "Tarnwick", "Lumbrae", "Vestalo", "Fennquil", "Quillane", "Brasko")
# Products that are bought together: the second is added to a basket that holds the first.
COMPANIONS = (
    ("Coffee grinder", "Coffee beans"),
    ("Pour-over set", "Paper filters"),
    ("Espresso machine", "Milk jug"),
    ("Yoga mat", "Yoga blocks"),
    ("Two-person tent", "Tent pegs"),
    ("Raised bed", "Seed box"),
    ("Train set", "Train tracks"),
    ("Face cream", "Cleansing gel"),
    ("Record player", "Record brush"),
    ("Portable speaker", "Charging cable"),
)
COMPANION_CHANCE = 0.4
# What customers write about: words that the reviews of a category's products draw from, each as
# likely as the others. None stands in two categories or in the name of a product.
CATEGORY_WORDS = {
    "kitchen": "cooking recipe dinner stirring oven roasting slicing pantry utensils gourmet",
    "coffee": "brew aroma barista crema roast cappuccino flavour caffeine grounds morning",
    "fitness": "workout training muscles stretching exercise gym squats posture cardio reps",
    "outdoor": "hiker hiking trail weatherproof campsite mountains waterproof adventure rain trek",
    "garden": "plants soil flowers seedlings patio compost vegetables roots tomatoes blossom",
    "kids": "children toddler playing toys birthday daughter nursery imagination grandson puzzle",
    "beauty": "skin moisturising scent hairstyle pampering soothing complexion glow makeup lotion",
    "audio": "sound bass music listening volume vinyl bluetooth melody treble songs",
}
# What is written of anything; the first words of a review and the last.
OPENINGS = (
    "Really happy with the {}",
    "The {} arrived quickly",
    "Bought the {} as a present",
    "We use the {} every day",
    "The {} does what it should",
    "I expected more of the {}",
)
CLOSINGS = (
    "great value",
    "would buy again",
    "good quality",
    "highly recommended",
    "not perfect but fine",
    "exactly as described",
)
SHOP_COMMENTS = (
    "Fast delivery and friendly service",
    "The parcel came late",
    "Easy to order and well packed",
    "Returning an item took too long",
)
REVIEW_SHARE = 0.14
"""Share of order lines that are reviewed."""
SHOP_ANSWER_SHARE = 0.02
"""Share of orders after which a customer answers a survey about the shop."""
WORDLESS_SHARE = 0.25
"""Share of reviews with a rating alone."""

# New products; until then their buyers take the one before in the list.
LAUNCHES = (
    ("Travel mug", "2024-03-18"),
    ("Water bottle", "2024-05-06"),
    ("Night light", "2024-09-16"),
    ("Charging cable", "2025-01-20"),
    ("Skipping rope", "2025-04-14"),
)

# country, region, city, share, pattern of the phone numbers that are reserved for fiction.
PLACES = (
    ("GB", "London", "London", 0.17, "+44 20 7946 0{:03d}"),
    ("GB", "North West", "Manchester", 0.11, "+44 161 496 0{:03d}"),
    ("GB", "Yorkshire", "Leeds", 0.09, "+44 113 496 0{:03d}"),
    ("GB", "South West", "Bristol", 0.09, "+44 117 496 0{:03d}"),
    ("GB", "Scotland", "Edinburgh", 0.08, "+44 131 496 0{:03d}"),
    ("DE", "Berlin", "Berlin", 0.10, "+49 30 23125 {:03d}"),
    ("DE", "Bavaria", "Munich", 0.09, "+49 89 99998 {:03d}"),
    ("DE", "Hamburg", "Hamburg", 0.06, "+49 40 66969 {:03d}"),
    ("FR", "Ile-de-France", "Paris", 0.12, "+33 1 99 00 1{:03d}"),
    ("FR", "Auvergne-Rhone-Alpes", "Lyon", 0.09, "+33 4 65 71 1{:03d}"),
)
ACTIVE_REGIONS = ("Scotland", "Bavaria", "Auvergne-Rhone-Alpes")
ACQUISITION_CHANNELS = ("organic", "paid_search", "paid_social", "email", "referral", "store")
ACQUISITION_SHARES = {
    "regulars": (0.34, 0.20, 0.10, 0.14, 0.14, 0.08),
    "big_spenders": (0.32, 0.16, 0.06, 0.10, 0.28, 0.08),
    "bargain_hunters": (0.14, 0.26, 0.30, 0.20, 0.08, 0.02),
    "one_timers": (0.20, 0.30, 0.32, 0.06, 0.06, 0.06),
    "drifted": (0.24, 0.28, 0.24, 0.08, 0.08, 0.08),
    "prospects": (0.26, 0.26, 0.34, 0.10, 0.04, 0.00),
}
COUPONS = ("SAVE10", "SAVE15", "SAVE20", "SAVE25")
EVENT_TYPES = ("page_view", "search", "product_view", "add_to_cart", "checkout_started")

# Rows planted in each chunk of 1,000 customers, by input and rule.
DIRTY_ROWS = {
    ("orders", "guest"): 25,
    ("orders", "unknown_customer"): 6,
    ("orders", "duplicate_exact"): 6,
    ("orders", "duplicate_older_state"): 6,
    ("orders", "null_order_id"): 2,
    ("orders", "null_amount"): 3,
    ("orders", "future_date"): 2,
    ("customers", "duplicate_exact"): 2,
    ("customers", "shared_email"): 4,
    ("customers", "implausible_birth_date"): 2,
    ("order_lines", "unknown_order"): 6,
    ("order_lines", "unknown_product"): 4,
    ("order_lines", "null_quantity"): 2,
    ("events", "duplicate_exact"): 8,
    ("events", "null_event_id"): 2,
    ("events", "without_visitor"): 3,
    ("events", "future_date"): 2,
    ("identities", "conflict"): 4,
    ("messages", "unknown_customer"): 3,
    ("messages", "duplicate_exact"): 3,
    ("feedback", "unknown_customer"): 2,
    ("feedback", "duplicate_exact"): 2,
    ("feedback", "null_feedback_id"): 1,
}
"""Planted rows per chunk of 1,000 customers; ``truth_dirty`` counts those of the whole shop."""

ESPRESSO_PRODUCTS = ("Espresso machine", "Coffee grinder")
ESPRESSO_DAYS = 365
"""The espresso club takes buyers of these products for so many days after the shop has started."""
ESPRESSO_SHARE = 0.75
VIP_SHARE = 0.5
"""Share of the buyers who join the club, and of the big spenders on the list of important ones."""

CONSENT_SHARES = {"email": 0.8, "sms": 0.3, "push": 0.25, "ads": 0.4}
"""Share of the customers who grant each purpose when they sign up."""
WITHDRAWAL_SHARE = 0.08
REGRANT_SHARE = 0.25
"""Share of the grants that are withdrawn later, and of the withdrawals that are taken back."""
ERASED_COUNT = 3
"""Former customers per chunk who have asked to be erased; the other tables know them no more."""

LATE_DAYS = 30
"""Refunds and status changes this long after the order count as late in ``truth_dirty``."""
