"""tpu_vm.sh: what it asks of gcloud, and what it asks of a host."""

import re
import shlex
import shutil
import subprocess

import pytest

from tests.launch.standins import LOST, TRAIN

VM = {"NAME": "n", "ZONE": "z", "DISK": "d"}


def kinds(calls):
    """What is asked of gcloud, without the options."""
    return [call[4] for call in calls]


SET_UP = ["ssh", "scp", "ssh"]  # end what is at work, copy, install and mount
TRAINS = "-m kdjax"


def test_a_vm_is_made_once_and_trains_until_it_is_finished(shell):
    codes = [*LOST, 0]
    result, calls = shell("tpu_vm.sh", TRAIN, codes, **VM)
    assert result.returncode == 0, result.stderr
    first = ["describe", "create", *SET_UP, "ssh"]
    assert kinds(calls) == first + ["describe", *SET_UP, "ssh"] * len(LOST)
    trained = [c[-1] for c in calls if TRAINS in c[-1]]
    assert len(trained) == len(codes)
    words = shlex.split(trained[0].removeprefix("--command="))
    assert words[-4:] == ["kdjax", "train", *TRAIN]


def test_what_failed_to_be_set_up_is_set_up_before_it_trains(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [0], bad=2, **VM)
    assert result.returncode == 0, result.stderr
    failed = ["describe", *SET_UP]
    assert kinds(calls) == ["describe", "create", *SET_UP, *failed, *failed, "ssh"]
    result, calls = shell("tpu_vm.sh", TRAIN, [0], bad=9, RESTARTS="2", **VM)
    assert result.returncode == 42 and not any(TRAINS in call[-1] for call in calls)


@pytest.fixture
def host(shell, tmp_path):
    """Runs what a round of tpu_vm.sh asks of a host; returns what it called there.

    Nothing but stand-ins is on its path: no process outside is ever ended. `works` says
    how long a training takes to end; what was installed and mounted stays.
    """
    _, calls = shell("tpu_vm.sh", TRAIN, [0], **VM)
    commands = [c[-1].removeprefix("--command=") for c in calls if c[4] == "ssh"][:2]
    files, home, log = tmp_path / "host", tmp_path / "home", tmp_path / "called"
    files.mkdir(), (home / "kdjax").mkdir(parents=True)
    pip = '#!/bin/bash\necho pip >> "$LOG"; [ ! -e "$HOME/offline" ]\n'
    stands = {
        "pkill": '[ "$1" != -KILL ] || rm -f "$HOME/works"',
        "pgrep": 'sed -i 1d "$HOME/works" 2>/dev/null; [ -s "$HOME/works" ]',
        "sudo": '[ "$1" = mount ] && touch "$HOME/mounted"; true',
        "mountpoint": '[ -e "$HOME/mounted" ]',
        "python3.11": f'mkdir -p "$3/bin"; printf %s {shlex.quote(pip)} > "$3/bin/pip"'
        '; chmod +x "$3/bin/pip"',
        "sleep": "true",
    }
    for name, body in stands.items():
        text = f'#!/bin/bash\necho "{name} $*" >> "$LOG"\n{body}\n'
        (files / name).write_text(text)
        (files / name).chmod(0o755)
    for name in ("mkdir", "touch", "sed", "rm", "chmod"):
        (files / name).symlink_to(shutil.which(name))

    def run(works=0):
        (home / "works").write_text("\n" * works)
        log.write_text("")
        env = {"PATH": str(files), "HOME": str(home), "USER": "u", "LOG": str(log)}
        codes = []
        for command in commands:
            how = {"env": env, "cwd": home, "timeout": 60}
            codes.append(subprocess.run(["/bin/bash", "-c", command], **how).returncode)
        return codes, log.read_text().splitlines()

    return run, home


def named(called, name):
    return [words for words in called if words.split()[0] == name]


def test_a_host_is_set_up_once_and_mounts_again_when_it_started_anew(host):
    run, home = host
    codes, called = run()
    assert codes == [0, 0] and "sudo mount /dev/sdb /mnt/runs" in called
    assert len(named(called, "pip")) == 1 and (home / "kdjax").is_dir()
    codes, called = run()
    assert codes == [0, 0] and not named(called, "pip")
    assert not [words for words in called if words.startswith("sudo mount")]
    (home / "mounted").unlink()
    codes, called = run()
    assert codes == [0, 0] and "sudo mount /dev/sdb /mnt/runs" in called


def test_half_an_installation_is_none(host):
    run, home = host
    (home / "offline").touch()
    codes, called = run()
    assert codes[0] == 0 and codes[1] != 0 and named(called, "pip")
    (home / "offline").unlink()
    codes, called = run()
    assert codes == [0, 0] and named(called, "pip")


def test_a_training_that_is_still_at_work_ends_before_the_next(host):
    run, _ = host
    _, called = run(works=4)
    ended = [words for words in called if words.split()[0] in ("pkill", "sleep")]
    assert ended[0] == "pkill -TERM -f [k]djax train"
    assert ended[1:] == ["sleep 1"] * 3 + ["pkill -KILL -f [k]djax train"]
    _, called = run(works=500)  # two minutes to save, and no more
    assert len(named(called, "sleep")) == 150
    # The shell that asks is no training of its own.
    assert re.search("[k]djax train", "python -m kdjax train")
    assert not re.search("[k]djax train", "bash -c pkill -TERM -f '[k]djax train'")


def test_every_host_of_a_vm_mounts_the_share_and_trains(shell):
    share = {"NAME": "n", "ZONE": "z", "SHARE": "10.0.0.2:/runs"}
    result, calls = shell("tpu_vm.sh", TRAIN, [0], **share)
    assert result.returncode == 0, result.stderr
    assert not any(word.startswith("--data-disk") for call in calls for word in call)
    for call in calls:
        assert call[4] in ("create", "describe") or "--worker=all" in call
    mounts = [call[-1] for call in calls if "mount" in call[-1]]
    assert len(mounts) == 1 and "mount 10.0.0.2:/runs /mnt/runs" in mounts[0]
    command = mounts[0].removeprefix("--command=")
    subprocess.run(["bash", "-n"], input=command, text=True, check=True)
    result, calls = shell("tpu_vm.sh", TRAIN, NAME="n", ZONE="z")
    assert result.returncode != 0 and "SHARE" in result.stderr and not calls


def test_a_vm_that_was_taken_away_is_replaced(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [255, 0], TAKEN="1", SPOT="1", **VM)
    assert result.returncode == 0, result.stderr
    assert kinds(calls).count("create") == 2 and kinds(calls).count("delete") == 1
    created = [call for call in calls if call[4] == "create"]
    assert all("--spot" in call for call in created)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_what_no_restart_mends_stops_a_vm(shell, code):
    result, calls = shell("tpu_vm.sh", TRAIN, [code, 0], **VM)
    assert result.returncode == code
    assert sum("-m kdjax" in call[-1] for call in calls) == 1


def test_a_vm_is_given_up_when_the_budget_is_spent(shell):
    result, calls = shell("tpu_vm.sh", TRAIN, [42] * 9, RESTARTS="2", **VM)
    assert result.returncode == 42 and "given up after 2" in result.stderr
    assert sum("-m kdjax" in call[-1] for call in calls) == 3
