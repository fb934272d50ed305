"use strict";
// The data behind the page, as a file to keep.
const data = new Blob([document.getElementById("data").textContent], { type: "application/json" });
const link = document.createElement("a");
link.href = URL.createObjectURL(data);
link.download = "report.json";
link.textContent = "Save the verdict and all numbers as JSON";
document.querySelector("main").append(link);

// All rows, a page at a time, with filters and a sort by any column. Without this the worst rows
// stay as they are. Texts are only ever set as text.
const AT_ONCE = 50;
const browser = document.getElementById("browser");
if (browser) browse(JSON.parse(document.getElementById("all-rows").textContent));

function make(name, words, set = {}) {
  const node = Object.assign(document.createElement(name), set);
  if (words !== undefined) node.textContent = words;
  return node;
}

function browse({ arms, rows }) {
  const table = browser.querySelector("table.rows");
  const head = [...table.tHead.querySelectorAll("th")];
  const [text, state, place] = ["text", "status", "document"].map((name) =>
    browser.querySelector(`[name=${name}]`)
  );
  const said = browser.querySelector("[role=status]");
  const [back, next] = browser.querySelectorAll(".pages button");
  const labels = head.map((it) => it.textContent);

  // Columns of a row [id, document, status, difference, [text, centred, plain] of each arm].
  const columns = [
    (row) => row[0], (row) => row[1], (row) => row[2], (row) => row[4][0][1],
    (row) => row[4][1][1], (row) => row[3], (row) => row[4][2][1], (row) => row[4][0][2],
    (row) => row[4][0][0],
  ];
  // A number in place of a text names the row whose own explanation it is.
  const words = (given) => (typeof given === "number" ? rows[given][4][0][0] : given);
  const all = rows.map((row) => [
    row,
    [row[0], row[1], ...row[4].map((arm) => (typeof arm[0] === "string" ? arm[0] : ""))]
      .join("\n").toLowerCase(),
  ]);
  let [sorted, descending, shown, first] = [3, false, [], 0];

  function shownText(given) {
    if (given === null) return make("span", "\u2013", { className: "soft" });
    if (given === "") return make("span", "empty", { className: "soft" });
    return make("span", given, { className: "text", dir: "auto" });
  }

  function armsTable(row) {
    const made = make("table", undefined, { className: "arms" });
    const top = made.createTHead().insertRow();
    const names = ["what the AR read", "text", "centred cosine", "plain cosine"];
    names.forEach((name, at) =>
      top.append(make("th", name, { scope: "col", className: at > 1 ? "number" : "" }))
    );
    const inside = made.createTBody();
    row[4].forEach(([given, centred, plain], at) => {
      const line = inside.insertRow();
      line.append(make("th", arms[at], { scope: "row" }));
      line.insertCell().append(shownText(words(given)));
      for (const number of [centred, plain]) {
        line.append(make("td", number, { className: "number" }));
      }
    });
    return made;
  }

  // The numbers on one line, the explanation below them; the other arms are made when it is opened.
  function entry(row) {
    const made = document.createElement("tbody");
    const line = made.insertRow();
    columns.slice(0, -1).forEach((value, at) => {
      const cell = make(at ? "td" : "th", undefined, { className: head[at].className });
      if (at < 2) cell.className = "id";
      if (!at) cell.scope = "row";
      cell.append(make("bdi", value(row)));
      line.append(cell);
    });
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.append(shownText(row[4][0][0]));
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.open && !details.querySelector("table")) details.append(armsTable(row));
    });
    const below = made.insertRow().insertCell();
    below.colSpan = columns.length - 1;
    below.append(details);
    return made;
  }

  function show() {
    for (const body of [...table.tBodies]) body.remove();
    table.append(...shown.slice(first, first + AT_ONCE).map(entry));
    const last = Math.min(first + AT_ONCE, shown.length);
    const range = shown.length ? `Rows ${first + 1} to ${last} of ${shown.length}` : "No rows";
    const filtered = shown.length < rows.length ? ` that match, ${rows.length} in all` : "";
    said.textContent = `${range}${filtered}, by ${labels[sorted]},` +
      ` ${descending ? "highest" : "lowest"} first.`;
    back.setAttribute("aria-disabled", String(first === 0));
    next.setAttribute("aria-disabled", String(last >= shown.length));
  }

  const counting = new Intl.Collator("en", { numeric: true });
  function find() {
    const wanted = text.value.trim().toLowerCase();
    const fits = ([row, inside]) =>
      inside.includes(wanted) && (!state.value || row[2] === state.value) &&
      (!place.value || row[1] === place.value);
    const number = head[sorted].classList.contains("number");
    const key = columns[sorted];
    const found = all.filter(fits).map(([row]) => row);
    // What has no number comes last in either direction.
    const none = found.filter((it) => number && key(it) === "-");
    const some = found.filter((it) => !none.length || key(it) !== "-");
    some.sort((a, b) =>
      number ? Number(key(a)) - Number(key(b)) : counting.compare(key(a), key(b))
    );
    shown = [...(descending ? some.reverse() : some), ...none];
    first = 0;
    show();
  }

  function choices(select, at, every) {
    const counts = new Map();
    for (const row of rows) counts.set(row[at], (counts.get(row[at]) ?? 0) + 1);
    select.append(make("option", every, { value: "" }));
    for (const name of [...counts.keys()].sort(counting.compare)) {
      select.append(make("option", `${name.slice(0, 60)} (${counts.get(name)})`, { value: name }));
    }
    select.addEventListener("change", find);
  }

  choices(state, 2, "any");
  choices(place, 1, "any");
  text.addEventListener("input", find);
  back.addEventListener("click", () => turn(-AT_ONCE));
  next.addEventListener("click", () => turn(AT_ONCE));
  function turn(by) {
    if (first + by < 0 || first + by >= shown.length) return;
    first += by;
    show();
    browser.scrollIntoView();
  }
  head.forEach((header, at) => {
    const button = make("button", undefined, { type: "button" });
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      descending = sorted === at && !descending;
      sorted = at;
      head.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      find();
    });
  });
  for (const each of browser.querySelectorAll("[hidden]")) each.hidden = false;
  find();
}
