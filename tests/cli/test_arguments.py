"""The options that every command has, and what they change in its config."""

import argparse

from kdjax.cli import arguments

CONFIG = """
from kdjax.experiment import schema

def get_config(arg=""):
    config = schema.base()
    config.allow_code = ("own.networks:small",)
    return config
"""


def test_code_that_an_option_allows_is_added_to_what_the_config_allows(tmp_path):
    (tmp_path / "conf.py").write_text(CONFIG)
    parser = argparse.ArgumentParser()
    arguments.add_config(parser, "its directory")
    words = [f"--config={tmp_path / 'conf.py'}", f"--workdir={tmp_path / 'w'}"]
    config = arguments.parse(parser, words)[1]
    assert config.allow_code == ("own.networks:small",)
    config = arguments.parse(parser, [*words, "--allow_code=a.b:one,a.b:two"])[1]
    assert config.allow_code == ("own.networks:small", "a.b:one,a.b:two")
