"use strict";
/* Tables: a click on a heading sorts, a box above long ones filters, a button below shows all rows. */
const MANY_ROWS = 8;
const FIRST_ROWS = 12;
const SLACK = 4; /* so few more rows are shown at once */

function cellValue(row, column) {
  const cell = row.cells[column];
  const v = cell.dataset.v;
  return v !== undefined ? Number(v) : cell.textContent.trim();
}

function compareCells(a, b) {
  const aNumber = typeof a === "number" && !Number.isNaN(a);
  const bNumber = typeof b === "number" && !Number.isNaN(b);
  if (aNumber && bNumber) return a - b;
  if (aNumber !== bNumber) return aNumber ? 1 : -1;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortTable(table, column, heading, changed) {
  const body = table.tBodies[0];
  const descending = heading.getAttribute("aria-sort") !== "descending";
  const rows = Array.from(body.rows);
  rows.sort((a, b) => {
    const order = compareCells(cellValue(a, column), cellValue(b, column));
    return descending ? -order : order;
  });
  for (const th of table.tHead.rows[0].cells) th.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  body.append(...rows);
  changed();
}

function makeSortable(table, changed) {
  Array.from(table.tHead.rows[0].cells).forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortTable(table, column, heading, changed));
  });
}

function makeFilterable(table, changed) {
  const box = document.createElement("input");
  box.type = "search";
  box.className = "filter";
  box.placeholder = "filter rows";
  box.setAttribute("aria-label", "filter the rows of the table below");
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    changed();
  });
  table.before(box);
}

/* Keeps the first rows of those that the filter leaves, until the button is pressed. Returns what is to
 * be called when rows moved or went. */
function makeFoldable(table) {
  const button = document.createElement("button");
  let open = false;
  button.type = "button";
  button.className = "all";
  function update() {
    const rows = Array.from(table.tBodies[0].rows).filter((row) => !row.hidden);
    const many = rows.length > FIRST_ROWS + SLACK;
    rows.forEach((row, i) => row.classList.toggle("cut", many && !open && i >= FIRST_ROWS));
    button.hidden = !many;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? `show the first ${FIRST_ROWS} rows` : `show all ${rows.length} rows`;
  }
  button.addEventListener("click", () => { open = !open; update(); });
  table.showAll = () => { open = true; update(); };
  table.after(button);
  update();
  return update;
}

for (const table of document.querySelectorAll("table.data, table.heat")) {
  const update = makeFoldable(table);
  makeSortable(table, update);
  if (table.tBodies[0].rows.length > MANY_ROWS) makeFilterable(table, update);
}

/* Commands and lists to paste: a button that copies them. */
function makeCopyable(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch { /* where the clipboard is not given, the text is selected instead */
      getSelection().selectAllChildren(text);
      button.textContent = "selected: press Ctrl+C";
      return;
    }
    button.textContent = "copied";
  });
  text.after(button);
}

document.querySelectorAll("code.command, pre.paste").forEach(makeCopyable);

/* Of several pages in one file, the one that the target is on is shown; the first without one. */
function showPage(target) {
  const pages = Array.from(document.querySelectorAll("section.page"));
  const page = (target && target.closest("section.page")) || pages[0];
  for (const each of pages) each.classList.toggle("other", each !== page);
  for (const link of document.querySelectorAll("nav.pages a")) {
    if (page && link.hash === "#" + page.id) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/* A link may lead into what is folded: another page, a row of a long table, a closed details. */
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  showPage(target);
  if (!target) return;
  for (let at = target; at; at = at.parentElement) if (at.matches("details")) at.open = true;
  const row = target.closest("tr.cut");
  if (row) row.closest("table").showAll();
  target.scrollIntoView();
}

addEventListener("hashchange", reveal);
reveal();

/* Paper has nothing to unfold. */
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    details.dataset.printed = "";
  }
});
addEventListener("afterprint", () => {
  for (const details of document.querySelectorAll("details[data-printed]")) {
    details.open = false;
    delete details.dataset.printed;
  }
});

/* The player: one frame a noise level; slider, play button and arrow keys. */
function makePlayer(player) {
  const data = JSON.parse(player.querySelector("script[type='application/json']").textContent);
  const slider = player.querySelector("input[type=range]");
  const button = player.querySelector("button");
  const label = player.querySelector("output");
  const picture = player.querySelector("img");
  const rows = Array.from(player.querySelectorAll(".bars .row"));
  let timer = null;

  function width(v) {
    if (!(v > 0)) return 0;
    const share = (Math.log(v) - Math.log(data.low)) / (Math.log(data.high) - Math.log(data.low));
    return Math.max(0.5, 100 * Math.min(1, Math.max(0, share)));
  }

  function show(k) {
    slider.value = k;
    label.textContent = data.labels[k];
    slider.setAttribute("aria-valuetext", data.labels[k]);
    if (picture) {
      picture.src = data.frames[k];
      picture.alt = data.alts[k];
    }
    rows.forEach((row, i) => {
      const v = data.absmax[i][k];
      row.bar.style.width = width(v) + "%";
      row.bar.classList.toggle("over", data.over[i][k] === 1);
      row.value.textContent = v === null ? "\u2013" : Number(v.toPrecision(3)).toString();
    });
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }

  function play() {
    if (Number(slider.value) === data.labels.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      const next = Number(slider.value) + 1;
      if (next >= data.labels.length) stop();
      else show(next);
    }, 700);
  }

  for (const row of rows) {
    row.bar = row.nextElementSibling.firstElementChild;
    row.value = row.nextElementSibling.nextElementSibling;
  }
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => (timer ? stop() : play()));
  player.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    stop();
    show(Math.min(data.labels.length - 1, Math.max(0, Number(slider.value) + step)));
  });
  if (data.frames) for (const frame of data.frames) new Image().src = frame;
  show(Number(slider.value));
}

document.querySelectorAll(".player").forEach(makePlayer);
