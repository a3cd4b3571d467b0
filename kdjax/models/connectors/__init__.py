"""Connectors: trained modules of methods, between the student's features and a loss.

    connector = from_module(HintRegressors(pairs=(("stage2", "stage2"),)))
    params, state = connector.init(key, ConnectorInputs(student, teacher))
    outputs, state = connector.apply(params, state, inputs, train=True)

Each is a Linen module, `module(student, teacher, train)` of both networks' `Outputs`;
`from_module` makes the pure functions of it. Features are named as the networks name
them: maps [b, h, w, c] such as "stage2" or "stage2_preact", and "pooled" [b, c]. They
may be of any precision; connectors compute in float32 and return float32.
"""

from kdjax.lazy_import import lazy_package

__all__, __getattr__, __dir__ = lazy_package(
    __name__,
    module="from_module",
    hints="BoundaryConnectors HintRegressors OverhaulConnectors",
    review="ReviewFusion",
    embeddings="FeatureProjection LinearEmbeddings",
    variational="VariationalHeads",
    factor="Paraphraser Translator",
    wasserstein="WassersteinProjector",
    class_maps="class_activation_maps",
    temperature="Scalar reverse_gradient",
)
