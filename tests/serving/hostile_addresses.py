"""Hands a hundred and more hostile paths and addresses to the door of the server, and writes down what that did.

Run as a program: `hostile_addresses.py FOLDER`. An audit hook, which nothing in Python can go around, notes each file
that is opened, each name that is looked up and each connection that is tried; a canary listens on the addresses that
the forms lead to. It prints one JSON object.
"""

import asyncio
import encodings.idna
import json
import os
import socket
import sys
import threading
from pathlib import Path

import h11  # noqa: F401 - loaded before the hook listens

from assay.media.decode import formats
from assay.serving import fetching
from assay.serving.admission import MediaPolicy, Refused, admitted, admitted_chat, admitted_record

GIVEN = json.loads((Path(__file__).parents[1] / "fixtures" / "serving" / "hostile_addresses.json").read_text())
LONG = (
    "a/" * 3_000,
    "/" + "a" * 5_000,
    "http://127.0.0.1:{port}/" + "a" * 100_000,
    "http://" + "a." * 200 + "example/in.png",
    "data:image/png;base64," + "A" * 60_000_000,
)


def furnish(folder):
    """A media folder with every kind of thing in it that may lead out, and a secret beside it."""
    (folder / "secret.png").write_bytes(b"secret")
    root = folder / "media"
    (root / "inside").mkdir(parents=True)
    (root / "in.png").write_bytes(b"allowed")
    (root / "inside" / "deep.png").write_bytes(b"allowed")
    (root / "link_to_secret.png").symlink_to(folder / "secret.png")
    (root / "link_to_outside").symlink_to(folder)
    (root / "link_to_etc").symlink_to("/etc")
    (root / "link_up").symlink_to("..")
    (root / "link_loop").symlink_to("link_loop")
    (root / "link_to_link").symlink_to("link_to_secret.png")
    (root / "link_to_environ").symlink_to("/proc/self/environ")
    (root / "link_inside.png").symlink_to("in.png")
    (root / "inside" / "link_up_two").symlink_to("../../secret.png")
    os.mkfifo(root / "inside" / "fifo")
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(root)
        made.bind("socket")
        os.chdir(here)
    return root


def canary():
    """Something that listens on this machine, under every address of it, and counts who comes."""
    visits = []
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)

    def listen():
        while True:
            visitor, address = listener.accept()
            visits.append(address)
            visitor.close()

    threading.Thread(target=listen, daemon=True).start()
    return listener.getsockname()[1], visits


class Heard:
    """What the audit hook notes while `on`."""

    def __init__(self):
        self.on = False
        self.opened = []
        self.connected = []
        self.looked_up = []

    def hook(self, event, arguments):
        if not self.on:
            return
        if event == "open":
            self.opened.append(repr(arguments[0]))
        elif event.startswith("socket.connect") or event == "socket.sendto":
            self.connected.append(repr(arguments[1:]))
        elif event.startswith(("socket.gethost", "socket.getaddrinfo")):
            self.looked_up.append(repr(arguments[0]))
        elif event.startswith(("subprocess", "os.system", "os.exec", "urllib", "ctypes")):
            self.opened.append(event)

    async def during(self, work):
        self.opened, self.connected, self.looked_up = [], [], []
        self.on = True
        try:
            await asyncio.wait_for(work, 20)
            outcome = "ADMITTED"
        except Refused as error:
            outcome = error.code
        except BaseException as error:  # noqa: BLE001 - whatever else it is, the test has to see it
            outcome = f"{type(error).__name__}: {error}"
        finally:
            self.on = False
        return [outcome, self.opened, self.connected, self.looked_up]


def ways(form, policy):
    """The form by each way into the server."""
    yield admitted("image", form, policy)
    for kind in ("video", "audio"):
        yield admitted(kind, {"url": form}, policy)
    yield admitted("image", {"path": form}, policy)
    yield admitted("video", [form], policy)
    yield admitted_chat([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": form}}]}], policy)
    yield admitted_chat([{"role": "user", "content": [{"type": "image", "image": form}]}], policy)
    yield admitted_record({"prompt": [{"role": "user", "content": [{"image": form}]}], "responses": ["a"]}, 0, policy)
    part = {"type": "video", "frames": [{"type": "image", "path": form}], "fps": 1}
    yield admitted_record({"prompt": "a", "responses": ["b"], "context": {"c": [{"$part": part}]}}, 0, policy)
    turn = {"role": "assistant", "content": "b", "tool_calls": [{"x": {"$part": {"type": "audio", "path": form}}}]}
    yield admitted_record({"prompt": "a", "responses": [{"messages": [turn]}]}, 0, policy)


async def main(folder):
    root = furnish(folder)
    port, visits = canary()
    _ = fetching.trusted(), formats(), encodings.idna.ToASCII("a")  # loaded before the hook listens
    heard = Heard()
    sys.addaudithook(heard.hook)
    closed, rooted = MediaPolicy(), MediaPolicy(root=root)
    everywhere = MediaPolicy(hosts=("*", f"*:{port}"), root=root, seconds=5)
    listed = MediaPolicy(hosts=("media.example", "*.media.example"), root=root, seconds=5)
    found = {}
    for form in [*GIVEN["paths"], *GIVEN["addresses"], *LONG]:
        form = form.replace("{port}", str(port))
        told = found[form[:200]] = {"closed": [], "rooted": [], "everywhere": [], "listed": []}
        small = len(form) < 1_000
        for work in [*ways(form, closed)] if small else [admitted("image", form, closed)]:
            told["closed"].append(await heard.during(work))
        told["rooted"].append(await heard.during(admitted("image", form, rooted)))
        told["everywhere"].append(await heard.during(admitted("image", form, everywhere)))
        told["listed"].append(await heard.during(admitted("image", form, listed)))
    kept = {}
    for form in ("in.png", "inside/deep.png", "inside/../in.png", "./in.png", "link_inside.png", str(root / "in.png")):
        kept[form] = await heard.during(admitted("image", form, rooted))
    knows = await heard.during(asyncio.open_connection("127.0.0.1", port))
    await asyncio.sleep(0.2)
    result = {"forms": found, "kept": kept, "visits": len(visits), "knows": knows, "root": str(root)}
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
