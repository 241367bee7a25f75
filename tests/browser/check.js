"use strict";
/* check.js - goes into the head of a copy of a report, behind common.js, and tries everything that a
 * reader can do.
 */
Object.assign(counts, { pictures: 0, tables: 0, players: 0, links: 0 });

async function checkPictures() {
  for (const picture of document.images) {
    picture.loading = "eager";
    try {
      await picture.decode();
    } catch {
      problems.push("picture does not load: " + picture.currentSrc);
    }
    expect(picture.naturalWidth > 0, "picture is empty: " + picture.currentSrc);
    expect(picture.alt.length > 10, "picture without text alternative: " + picture.currentSrc);
    counts.pictures++;
  }
}

function checkLinks() {
  const ids = new Set();
  for (const element of document.querySelectorAll("[id]")) {
    expect(!ids.has(element.id), "id twice: " + element.id);
    ids.add(element.id);
  }
  for (const link of document.querySelectorAll("a[href^='#']")) {
    expect(ids.has(link.getAttribute("href").slice(1)), "link to nothing: " + link.href);
    counts.links++;
  }
  for (const element of document.querySelectorAll("[src], [href]")) {
    const target = element.getAttribute("src") || element.getAttribute("href");
    expect(!/^(https?:)?\/\//.test(target), "asks the network: " + target);
  }
}

const column = (table, k) => Array.from(table.tBodies[0].rows, (row) => {
  const v = row.cells[k].dataset.v;
  return v === undefined ? NaN : Number(v);
}).filter((v) => !Number.isNaN(v));

/* Rows beyond the first ones come with the button, and none is lost. */
function checkFold(table) {
  const button = table.parentElement.querySelector("button.all");
  const shown = () => Array.from(table.tBodies[0].rows).filter((row) => row.getClientRects().length).length;
  const all = table.tBodies[0].rows.length;
  if (table.closest("details:not([open])")) return;
  expect(button.hidden ? shown() === all : shown() === 12, `${shown()} of ${all} rows are shown`);
  if (button.hidden) return;
  button.click();
  expect(shown() === all, "the button does not show all rows");
  button.click();
  expect(shown() === 12, "the button does not fold again");
}

/* No table needs a scroll bar of its own, and the numbers that decide stay in view. */
function checkInView() {
  for (const details of document.querySelectorAll("details")) details.open = true;
  for (const table of document.querySelectorAll("table")) {
    const name = table.parentElement.textContent.slice(0, 60);
    for (let at = table.parentElement; at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at);
      expect(!/auto|scroll|hidden/.test(style.overflowX + style.overflowY), "a table scrolls in a box: " + name);
    }
    for (const cell of table.querySelectorAll("th, td")) {
      const box = cell.getBoundingClientRect();
      if (box.width && box.right > innerWidth + 1) {
        problems.push(`a cell ends at ${Math.round(box.right)} of ${innerWidth} pixels: ${name}: ${cell.textContent.slice(0, 40)}`);
        break;
      }
    }
    const row = table.tBodies[0].rows[0];
    const cells = row ? Array.from(row.cells).map((cell) => cell.getBoundingClientRect()).filter((box) => box.width) : [];
    cells.forEach((a, i) => cells.slice(i + 1).forEach((b) => expect(
      a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1,
      "cells lie on one another: " + name)));
  }
}

function checkTables() {
  for (const table of document.querySelectorAll("table.data, table.heat")) {
    const rows = table.tBodies[0].rows;
    counts.tables++;
    if (rows.length < 2) continue;
    Array.from(table.tHead.rows[0].cells).forEach((heading, k) => {
      heading.querySelector("button").click();
      const down = column(table, k);
      expect(down.every((v, i) => i === 0 || down[i - 1] >= v), "not sorted down: " + heading.textContent);
      heading.querySelector("button").click();
      const up = column(table, k);
      expect(up.every((v, i) => i === 0 || up[i - 1] <= v), "not sorted up: " + heading.textContent);
    });
    checkFold(table);
    const box = table.parentElement.querySelector(".filter");
    if (!box) continue;
    box.value = rows[0].cells[0].textContent;
    box.dispatchEvent(new Event("input"));
    expect(!rows[0].hidden, "the filter hides what it is to show");
    box.value = "no row says this";
    box.dispatchEvent(new Event("input"));
    expect(Array.from(rows).every((row) => row.hidden), "the filter shows what it is to hide");
    box.value = "";
    box.dispatchEvent(new Event("input"));
  }
}

async function checkPlayers() {
  for (const player of document.querySelectorAll(".player")) {
    const slider = player.querySelector("input");
    const label = player.querySelector("output");
    const picture = player.querySelector("img");
    const bar = player.querySelector(".bar");
    const state = () => [label.textContent, picture ? picture.src : "", slider.value].join("|");
    const last = Number(slider.max);
    counts.players++;
    const atEnd = state();
    expect(label.textContent.startsWith("sigma "), "the player has no label");
    slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
    expect(state() !== atEnd && Number(slider.value) === last - 1, "the left arrow does nothing");
    slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    expect(state() === atEnd, "the right arrow does not come back");
    slider.value = 0;
    slider.dispatchEvent(new Event("input"));
    const atStart = state();
    expect(atStart !== atEnd, "the slider does nothing");
    const values = Array.from(player.querySelectorAll(".value"), (value) => Number(value.textContent));
    if (values.some((v) => v > 0)) expect(bar.getBoundingClientRect().width > 0 && bar.getBoundingClientRect().height > 4, "no bars");
    player.querySelector("button").click();
    await wait(1000);
    expect(state() !== atStart, "the play button does nothing");
    player.querySelector("button").click();
    const paused = state();
    await wait(1500);
    expect(state() === paused, "pause does not stop");
    if (picture) {
      await picture.decode().catch(() => problems.push("frame does not load: " + picture.src));
    }
  }
}

/* Of the pages in one file the link shows one, and each link inside of it shows what it leads to. */
async function checkPages() {
  const pages = Array.from(document.querySelectorAll("section.page"));
  for (const link of document.querySelectorAll("nav.pages a")) {
    link.click();
    await wait(50);
    for (const page of pages)
      expect((page.getClientRects().length > 0) === ("#" + page.id === link.hash), "wrong page is shown: " + page.id);
    expect(link.getAttribute("aria-current") === "page", "the link of the page shown is not marked");
  }
  for (const link of Array.from(document.querySelectorAll("section.page a[href^='#']")).slice(0, 4)) {
    link.click();
    await wait(50);
    const target = document.getElementById(link.hash.slice(1));
    expect(target && target.getClientRects().length > 0, "a link does not show its target: " + link.hash);
  }
  for (const page of pages) page.classList.remove("other");
}

/* Headings go down by one level at most. */
function checkHeadings() {
  let last = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const level = Number(heading.tagName[1]);
    expect(level <= last + 1, "a heading skips a level: " + heading.textContent);
    last = level;
  }
  expect(document.documentElement.lang === "en", "the page has no language");
  expect(document.title.length > 0, "the page has no title");
}

/* Every control can be reached by keys and shows that it was. */
function checkFocus() {
  for (const control of document.querySelectorAll("a[href], button, input, summary")) {
    if (!control.getClientRects().length) continue;
    control.focus({ focusVisible: true, preventScroll: true });
    expect(document.activeElement === control, "cannot be reached by keys: " + control.outerHTML.slice(0, 80));
    const style = getComputedStyle(control);
    if (control.matches(":focus-visible") && style.outlineStyle === "none") {
      problems.push("focus does not show on " + control.outerHTML.slice(0, 80));
      break;
    }
  }
}

const point = (element, type, x, y) => element.dispatchEvent(
  new PointerEvent(type, { clientX: x, clientY: y, bubbles: true }));

/* Points answer with their line and numbers, and the legend hides lines. */
function checkPoints(figure) {
  const svg = figure.querySelector(".panels svg:has(.hit)");
  const tip = figure.querySelector(".tip");
  if (!svg) return;
  const hit = svg.querySelector(".hit");
  const line = hit.getAttribute("class").replace("hit ", "");
  const button = figure.querySelector(`.legend button[data-line="${line.slice(1)}"]`);
  const box = hit.getBoundingClientRect();
  point(svg, "pointermove", (box.left + box.right) / 2, (box.top + box.bottom) / 2);
  expect(!tip.hidden && /\d/.test(tip.textContent), "a point has no number: " + svg.ariaLabel);
  point(svg, "pointerleave", 0, 0);
  expect(tip.hidden, "the number at a point stays");
  press("ArrowRight", svg);
  expect(!tip.hidden, "no number by arrow key");
  press("Escape", svg);
  expect(tip.hidden, "Escape leaves the number");
  if (!button) return;
  const lines = svg.querySelectorAll("." + line);
  const shown = () => Array.from(lines).filter((part) => getComputedStyle(part).display !== "none").length;
  button.click();
  expect(shown() === 0, "the legend hides nothing");
  expect(button.getAttribute("aria-pressed") === "false", "the legend does not say what is hidden");
  button.click();
  expect(shown() === lines.length, "the legend does not show its line again");
}

/* A cell says the number that the table has in the row that it leads to. */
function checkCells(figure) {
  const json = figure.querySelector("script.cells");
  if (!json) return;
  const cells = JSON.parse(json.textContent);
  const image = figure.querySelector("image.cells");
  const row = cells.rows.length - 1;
  const column = cells.columns.length - 1;
  const box = image.getBoundingClientRect();
  const at = [box.right - 0.5 * box.width / cells.columns.length, box.bottom - 0.5 * box.height / cells.rows.length];
  const tip = figure.querySelector(".tip");
  point(image, "pointermove", ...at);
  const value = cells.values[row][column];
  expect(tip.textContent.startsWith(cells.rows[row] + "\n"), "a cell does not say its row: " + tip.textContent);
  expect(value === null || tip.textContent.includes(String(value)), "a cell does not say its number");
  image.dispatchEvent(new MouseEvent("click", { clientX: at[0], clientY: at[1], bubbles: true }));
  const lit = document.querySelector("tr.lit");
  if (figure.id !== "" || !figure.querySelector("[aria-label^='Heat map of the largest']")) return;
  expect(lit && lit.textContent.includes(cells.rows[row]), "a cell leads to no row: " + cells.rows[row]);
  if (lit && value !== null && lit.closest("table").matches(".heat"))
    expect(Math.abs(Number(lit.cells[column + 1].dataset.v) / value - 1) < 1e-3, "cell and row differ");
  if (lit) expect(lit.getBoundingClientRect().height > 0, "the row is not shown");
}

/* Letters that a reader can read: at least 9 pixels high. */
function checkFigures() {
  for (const figure of document.querySelectorAll("figure.plot")) {
    if (!figure.checkVisibility()) continue;
    counts.figures = (counts.figures || 0) + 1;
    checkPoints(figure);
    checkCells(figure);
    for (const svg of figure.querySelectorAll(".panels svg")) {
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const least = Math.min(...Array.from(svg.querySelectorAll("text"), (text) => text.getAttribute("font-size") * scale));
      expect(least >= 8.95, `letters of ${least.toFixed(1)} pixels: ${svg.getAttribute("aria-label")}`);
      for (const image of svg.querySelectorAll("[id]")) expect(false, "an id in a figure: " + image.id);
    }
  }
}

addEventListener("load", async () => {
  await checkPages();
  checkHeadings();
  await checkPictures();
  checkLinks();
  checkTables();
  checkInView();
  checkFocus();
  await checkPlayers();
  checkFigures();
  checkContrast();
  checkWidth(innerWidth);
  report();
});
