"""Names in an index behave like a dictionary from name to manifest, plus a set of manifests."""

from hypothesis import given
from hypothesis import strategies as st

from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Index, index_bytes, parse_index
from stoker.oci.mediatypes import OCI_INDEX, OCI_MANIFEST
from stoker.store.tags import entries_of, removed, tagged, untagged

MANIFESTS = tuple(Descriptor.of(text.encode(), OCI_MANIFEST) for text in "abc")
FOREIGN = Descriptor.of(b"an index of somebody else", OCI_INDEX)
NAMES = ("docker.io/ai/one:latest", "docker.io/ai/two:latest", "localhost:5000/x/y:Q4_K_M")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("tag"), st.sampled_from(NAMES), st.sampled_from(MANIFESTS)),
        st.tuples(st.just("untag"), st.sampled_from(NAMES), st.none()),
        st.tuples(st.just("remove"), st.none(), st.sampled_from(MANIFESTS)),
        st.tuples(st.just("add"), st.none(), st.sampled_from(MANIFESTS)),
    ),
    max_size=20,
)


@given(steps)
def test_names_are_a_dictionary(
    history: list[tuple[str, str | None, Descriptor | None]],
) -> None:
    index = Index((FOREIGN,))
    names: dict[str, Digest] = {}
    listed: set[Digest] = set()
    for action, name, manifest in history:
        match action, name, manifest:
            case "tag", str(), Descriptor():
                index = tagged(index, name, manifest)
                names[name] = manifest.digest
                listed.add(manifest.digest)
            case "untag", str(), None:
                index = untagged(index, name)
                names.pop(name, None)
            case "remove", None, Descriptor():
                index = removed(index, manifest.digest)
                names = {n: digest for n, digest in names.items() if digest != manifest.digest}
                listed.discard(manifest.digest)
            case "add", None, Descriptor() if manifest.digest not in listed:
                index = tagged(index, "", manifest)
                listed.add(manifest.digest)
            case _:
                continue
        index = parse_index(index_bytes(index))
        entries = entries_of(index)
        assert {entry.manifest.digest for entry in entries} == listed
        assert len(entries) == len(listed)
        assert {n: entry.manifest.digest for entry in entries for n in entry.names} == names
        assert all(len(set(entry.names)) == len(entry.names) for entry in entries)
        # One line for each name, one for each manifest without; nothing of others is touched.
        nameless = sum(not entry.names for entry in entries)
        assert len(index.manifests) == 1 + len(names) + nameless
        assert index.manifests[0].digest == FOREIGN.digest
