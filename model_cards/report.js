"use strict";
// The data behind the page, as a file to keep.
const data = new Blob([document.getElementById("data").textContent], { type: "application/json" });
const link = document.createElement("a");
link.href = URL.createObjectURL(data);
link.download = "report.json";
link.textContent = "Save the verdict and all numbers as JSON";
document.querySelector("main").append(link);

// Sorting by a click on a column's name. Without it the rows stay worst first.
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const key = (row) => row.cells[column].textContent.trim();
    const upwards = header.classList.contains("number")
      ? (a, b) => Number(key(a)) - Number(key(b))
      : (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      const rows = [...table.tBodies[0].rows].sort(upwards);
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      table.tBodies[0].append(...(descending ? rows.reverse() : rows));
    });
  });
}
