"""A Hub on 127.0.0.1: the model-repository part of the Hugging Face Hub, on files, for rehearsals.

The real `huggingface_hub` client talks to it over HTTP, so a rehearsed push takes the same path as
a real one, down to the status codes. One way down, no module looks up:

    server      binds 127.0.0.1 and runs the application in a thread, or blocking for the CLI
    app         the application: routes, access, request log, errors to answers
    routes/     one module per topic: repositories, reading, refs, uploads, lfs
    access      who a request comes from, and which repository it may read or write
    bodies      request bodies, bounded and well-formed
    store       repositories on disk; importing a folder
    repository  one repository: immutable commits, and one file with everything that changes
    commits     commits and changes as values
    blobs       content by sha256
    git         the little of git that shows: blob ids, LFS pointers, attributes, ignore files
    names       which repository ids, paths and refs are acceptable
    errors      refusals, each with its HTTP status and the Hub's error code

Endpoints that exist, for repositories of type model:

* `whoami-v2`, `repos/create`, `repos/delete`, `validate-yaml`
* per repository: information (at any revision), `auth-check[/write]`, `settings` (visibility),
  `refs`, `commits`, `tree`, `paths-info`, `preupload`, `commit`, `tag`, `branch`
* LFS batch, upload (to a signed address, as on the real Hub) and verify
* `resolve` with HEAD, GET and byte ranges

Endpoints that do not, and how the client takes it:

* Xet: its token route answers 404, which the client turns into a ConnectionError before any
  commit. Uploads must go through LFS: give `CommitOperationAdd` an open file.
* Pull requests, gating, and repositories of other types: refused with 501, never half done.
* Discussions, collections, moves, squashes, `agent-harnesses`, web pages: 404.
* Rate limits, scans, paging and replication delays do not happen: every answer is immediate, whole.

The store survives a kill at any moment: blobs are complete before a commit names them, a commit is
written before a ref points at it, and a repository's refs change in one rename.
"""
