from tests.data.conftest import no_network

__all__ = ["no_network"]
