"use strict";
/* check.js - goes into the head of a copy of a report, tries everything that a reader can do, and
 * logs what failed; tests/browser/run reads the log.
 */
const problems = [];
const counts = { width: innerWidth, dark: matchMedia("(prefers-color-scheme: dark)").matches, pictures: 0, tables: 0, players: 0, links: 0, texts: 0 };

addEventListener("error", (event) => problems.push("error: " + (event.message || event.target.src)), true);
const consoleError = console.error;
console.error = (...args) => { problems.push("console: " + args.join(" ")); consoleError(...args); };

const expect = (holds, what) => { if (!holds) problems.push(what); };
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

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
    const box = table.parentElement.previousElementSibling;
    if (!box || !box.matches(".filter")) continue;
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
    expect(bar.getBoundingClientRect().width > 0 && bar.getBoundingClientRect().height > 4, "no bars");
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

function channels(color) {
  const parts = color.match(/[\d.]+/g).map(Number);
  return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
}

function luminance(rgb) {
  const [r, g, b] = rgb.map((v) => {
    const s = v / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function groundOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const c = channels(getComputedStyle(at).backgroundColor);
    if (c.alpha === 1) return c.rgb;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
}

/* WCAG 2.1, level AA: 4.5 for text. */
function checkContrast() {
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style")) continue;
    const ink = channels(getComputedStyle(element).color).rgb;
    const ground = groundOf(element);
    const key = ink + "/" + ground;
    counts.texts++;
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [luminance(ink), luminance(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    expect(ratio >= 4.5, `contrast ${ratio.toFixed(2)} of "${node.textContent.trim().slice(0, 30)}" (${key})`);
  }
}

function checkWidth(width) {
  document.body.style.width = width + "px";
  const needs = document.body.scrollWidth;
  expect(needs <= width, `the page needs ${needs} pixels where there are ${width}`);
  document.body.style.width = "";
}

addEventListener("load", async () => {
  await checkPictures();
  checkLinks();
  checkTables();
  await checkPlayers();
  checkContrast();
  checkWidth(innerWidth);
  checkWidth(360); /* a phone: narrower than any window of a browser on a desk */
  console.log("CHECKED " + JSON.stringify(counts));
  for (const problem of problems) console.log("FAIL " + problem);
  console.log("END");
});
