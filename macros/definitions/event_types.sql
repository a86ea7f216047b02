{# The words by which hosts call each kind of event, lower case; the var replaces a kind's words. #}
{% macro event_types() %}
    {{ return(coterie.merged_map("coterie__event_types", {
        "view": ["view", "page_view", "pageview", "page", "product_view", "view_item", "product_viewed", "product viewed"],
        "search": ["search", "searched", "products_searched", "products searched", "view_search_results"],
        "cart": ["cart", "add_to_cart", "added_to_cart", "product_added", "product added"],
        "checkout": ["checkout", "checkout_started", "checkout started", "begin_checkout"]
    })) }}
{% endmacro %}
