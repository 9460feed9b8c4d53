"""What Ansible makes of the inventories beside this file: one JSON object on standard output, by case.

Run it with the Python that has ansible-core: ansible-inventory and this program must be of one version.
"""

import json
import os
import subprocess
import sys
import tempfile

own = tempfile.TemporaryDirectory()
settings = os.path.join(own.name, "ansible.cfg")
with open(settings, "w", encoding="utf-8"):
    pass
os.environ.update(ANSIBLE_CONFIG=settings, ANSIBLE_HOME=own.name)
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip()]


def listed(sources):
    command = ["ansible-inventory", "--list"]
    for source in sources:
        command += ["-i", source]
    if os.path.isdir("project"):
        command += ["--playbook-dir", "project"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def chosen(sources, pattern):
    manager = InventoryManager(loader=DataLoader(), sources=sources)
    manager.subset(pattern)
    return sorted(host.name for host in manager.get_hosts("all"))


def answer(case):
    os.chdir(case)
    sources = lines("sources")
    return {"list": listed(sources), "limits": {pattern: chosen(sources, pattern) for pattern in lines("limits")}}


root = os.path.dirname(os.path.abspath(__file__))
names = sys.argv[1:] or sorted(name for name in os.listdir(root) if os.path.isfile(os.path.join(root, name, "sources")))
json.dump({name: answer(os.path.join(root, name)) for name in names}, sys.stdout, indent=1, sort_keys=True)
print()
