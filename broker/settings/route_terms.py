"""The terms of routing that a configuration makes."""

from broker.core.route_terms import RouteTerms
from broker.settings.loading import Settings
from broker.settings.prices import price_tables, priced_models
from broker.settings.routing import policy_of


def route_terms(settings: Settings) -> RouteTerms:
    """Whom prompts may go to and by which policy; raises UsageError for a wrong price file."""
    given = settings.routing
    tables = price_tables(settings)
    priced = {name: priced_models(settings, name, tables) for name in settings.providers}
    return RouteTerms(
        catalog=settings.catalog(),
        rules=settings.routing_rules(),
        policy=policy_of(given),
        by_model={name: policy_of(one, given) for name, one in given.models.items()},
        by_tenant={name: policy_of(one, given) for name, one in given.tenants.items()},
        by_both={
            (tenant, model): policy_of(own, one, given)
            for tenant, own in given.tenants.items()
            for model, one in given.models.items()
        },
        regions={name: one.region for name, one in settings.providers.items()},
        prices={
            alias: {
                name: models[alias].prices for name, models in priced.items() if alias in models
            }
            for alias in settings.models
        },
    )
