"""Which commit changed what, as the real client asks for it."""


def test_a_file_is_told_with_the_commit_that_changed_it_last(api, repo, push):
    first = push({"a.txt": b"1", "sub/b.txt": b"1"})
    second = push({"a.txt": b"2"})
    last = {
        entry.path: entry.last_commit.oid
        for entry in api.list_repo_tree(repo, recursive=True, expand=True)
        if entry.path.endswith(".txt")
    }
    assert last == {"a.txt": second, "sub/b.txt": first}
    (found,) = api.get_paths_info(repo, ["sub/b.txt"], expand=True)
    assert (found.last_commit.oid, found.last_commit.title) == (first, "Release")
    assert found.security.status == "unscanned"
    (found,) = api.get_paths_info(repo, ["sub/b.txt"])
    assert found.last_commit is None


def test_a_folder_at_an_old_commit_is_told_as_it_was_then(api, repo, push):
    first = push({"a.txt": b"1"})
    push({"a.txt": b"2"})
    (found,) = api.get_paths_info(repo, ["a.txt"], revision=first, expand=True)
    assert found.last_commit.oid == first
    assert found.size == 1


def test_a_commit_keeps_its_description_for_those_who_look_for_a_trailer(api, repo, push):
    commit = push({"a.txt": b"1"}, commit_description="Why.\n\nNLA-Release-Id: abc")
    newest = api.list_repo_commits(repo)[0]
    assert (newest.commit_id, newest.title) == (commit, "Release")
    assert newest.message == "Why.\n\nNLA-Release-Id: abc"
