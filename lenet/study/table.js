// Long tables: a click on a column's name sorts by it, a text chooses rows, and a page has 50 of them.
for (const table of document.querySelectorAll("table.long")) {
  const body = table.tBodies[0], rows = [...body.rows], size = 50;
  let chosen = rows, first = 0;
  const bar = document.createElement("p"), search = document.createElement("input"), where = document.createElement("span");
  search.placeholder = "rows with ...";
  search.setAttribute("aria-label", "Show the rows that contain this text");
  const show = () => {
    first = Math.max(0, Math.min(first, chosen.length - 1));
    body.replaceChildren(...chosen.slice(first, first + size));
    where.textContent = ` ${chosen.length ? first + 1 : 0} to ${Math.min(first + size, chosen.length)} of ${chosen.length} `;
  };
  const button = (text, label, step) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.onclick = () => { if (first + step < chosen.length) first += step; show(); };
    return made;
  };
  const choose = () => {
    const text = search.value.toLowerCase();
    chosen = rows.filter((row) => row.textContent.toLowerCase().includes(text));
    first = 0;
    show();
  };
  search.oninput = choose;
  bar.append(search, button("\u2190", "Earlier rows", -size), where, button("\u2192", "Later rows", size));
  table.parentElement.before(bar);
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    let sign = -1;
    const value = (row) => row.cells[column].textContent.replaceAll(",", "").trim();
    const number = (text) => (text ? parseFloat(text.replace("<", "")) : -Infinity);
    const sort = () => {
      const numbers = rows.every((row) => /^$|^<? ?[+-]?[\d.]+([ e]|$)/.test(value(row)));
      sign = -sign;
      rows.sort((a, b) => sign * (numbers ? number(value(a)) - number(value(b)) || 0 : value(a).localeCompare(value(b))));
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      choose();
    };
    head.tabIndex = 0;
    head.style.cursor = "pointer";
    head.onclick = sort;
    head.onkeydown = (event) => { if (event.key === "Enter") sort(); };
  });
  show();
}
