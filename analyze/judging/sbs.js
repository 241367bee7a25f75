/* sbs.js - a judge votes on pairs of clips, aspect by aspect
 *
 * pageData: {page, fps, aspects: [{name, question}], pairs: [{id, text, clips: [{token, png, frames,
 * sources}, the other]}]}. Which token is of which folder is not on this page: sbs.json has it.
 * The order of pairs and the sides are drawn from the page's and the judge's names. Votes are in
 * localStorage as {PAIR: {"left": TOKEN, ASPECT: TOKEN or "same"}}, and in exported files as a list
 * of {pair, aspect, choice, left} (votes.h).
 */
const STORE = "sigmascope-sbs " + pageData.page;
const SAME = "same";
let judge = null;
let votes = {};
let order = [];      /* of pairs: {pair, left, right} */
let at = 0;          /* pair */
let aspect = 0;      /* that keys answer */
let shown = [];      /* {clip, canvas} of left and right, or {video} */
let frame = 0;
let timer = null;

/* ---- random order ---- */

/* FNV-1a over the text, then mulberry32: numbers in [0, 1). */
function randomOf(text) {
  let state = 0x811c9dc5;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 0x01000193) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
}

function makeOrder(name) {
  const random = randomOf(pageData.page + "/" + name);
  const pairs = Array.from(pageData.pairs);
  for (let i = pairs.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [pairs[i], pairs[j]] = [pairs[j], pairs[i]];
  }
  return pairs.map((pair) => {
    const first = random() < 0.5 ? 0 : 1;
    return { pair, left: pair.clips[first], right: pair.clips[1 - first] };
  });
}

/* ---- votes ---- */

/* What localStorage keeps under a name, or `without` where it keeps nothing or cannot be asked. */
function kept(name, without) {
  try {
    return JSON.parse(localStorage.getItem(name)) || without;
  } catch {
    return without;
  }
}

const known = () => kept(STORE, { last: null, judges: [] });
const say = (text) => { byId("message").textContent = text; };
const answered = (entry) => pageData.aspects.filter((a) => votes[entry.pair.id] && votes[entry.pair.id][a.name]).length;

function store() {
  try {
    const names = known().judges.filter((name) => name !== judge);
    localStorage.setItem(STORE + "/" + judge, JSON.stringify(votes));
    localStorage.setItem(STORE, JSON.stringify({ last: judge, judges: [...names, judge] }));
  } catch (error) {
    say("This browser does not keep the votes (" + error.message + "): export them before you close the page.");
  }
}

function vote(k, choice) {
  const entry = order[at], of = votes[entry.pair.id] || (votes[entry.pair.id] = {});
  of.left = entry.left.token;
  if (choice === null) delete of[pageData.aspects[k].name];
  else of[pageData.aspects[k].name] = choice;
  store();
  aspect = Math.min(pageData.aspects.length - 1, k + (choice === null ? 0 : 1));
  mark();
}

function exported() {
  const list = [];
  for (const { pair } of order) {
    for (const { name } of pageData.aspects) {
      const of = votes[pair.id];
      if (of && of[name]) list.push({ pair: pair.id, aspect: name, choice: of[name], left: of.left });
    }
  }
  return { format: "sigmascope-votes", version: 1, page: pageData.page, judge, votes: list };
}

function exportVotes() {
  if (judge === null) return say("There are no votes yet: begin with a name.");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(exported(), null, 1) + "\n"], { type: "application/json" }));
  link.download = "votes-" + judge.replace(/[^A-Za-z0-9._-]/g, "_") + ".json";
  link.click();
  say("Saved " + link.download + ".");
}

/* Turns an exported file into votes; throws what is wrong with it. */
function readVotes(text) {
  const file = JSON.parse(text);
  if (!file || file.format !== "sigmascope-votes" || !Array.isArray(file.votes)) throw new Error("it is no file of votes");
  if (file.page !== pageData.page) throw new Error("its votes are of another page");
  if (typeof file.judge !== "string" || !file.judge) throw new Error("it does not name its judge");
  const read = {};
  for (const { pair, aspect: name, choice, left } of file.votes) {
    const of = pageData.pairs.find((p) => p.id === pair);
    const tokens = of ? of.clips.map((clip) => clip.token) : [];
    if (!of || !pageData.aspects.some((a) => a.name === name) || !tokens.includes(left) || ![...tokens, SAME].includes(choice))
      throw new Error("it has a vote on what is not on this page");
    read[pair] = read[pair] || { left };
    read[pair][name] = choice;
  }
  return { name: file.judge, read };
}

function importVotes(text) {
  try {
    const { name, read } = readVotes(text);
    begin(name);
    for (const id of Object.keys(read)) votes[id] = { ...votes[id], ...read[id] };
    store();
    showPair(firstOpen());
    say("Read the votes of " + name + ".");
  } catch (error) {
    say("That file cannot be read: " + error.message + ".");
  }
}

/* ---- what is seen ---- */

function mark() {
  const entry = order[at], of = votes[entry.pair.id] || {};
  const rows = Array.from(byId("aspects").tBodies[0].rows);
  rows.forEach((row, k) => {
    row.classList.toggle("current", k === aspect);
    const choices = [entry.left.token, SAME, entry.right.token];
    Array.from(row.querySelectorAll("button")).forEach((button, side) =>
      button.setAttribute("aria-pressed", of[pageData.aspects[k].name] === choices[side]));
  });
  const all = order.length * pageData.aspects.length, done = order.reduce((n, one) => n + answered(one), 0);
  byId("progress").textContent = `pair ${at + 1} of ${order.length}, ${done} of ${all} answers`;
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === order.length - 1;
}

function put(side, info) {
  const place = byId(side);
  place.replaceChildren();
  if (info.png) {
    const canvas = document.createElement("canvas");
    const clip = new Clip({ sources: info.sources, frames: info.frames, fps: pageData.fps });
    place.append(canvas);
    return { clip, canvas, ready: clip.ready.then(() => clip.fit(canvas)) };
  }
  const moving = /\.(mp4|webm|mov|m4v)$/.test(info.sources[0]);
  const element = document.createElement(moving ? "video" : "img");
  element.src = info.sources[0];
  if (moving) Object.assign(element, { loop: true, muted: true, autoplay: timer !== null, controls: true });
  else element.alt = "the picture on this side";
  place.append(element);
  return { video: moving ? element : null, ready: Promise.resolve() };
}

function drawFrame() {
  for (const side of shown) if (side.clip) side.clip.draw(side.canvas, frame % side.clip.count);
}

function setPlaying(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => { frame++; drawFrame(); }, 1000 / pageData.fps) : null;
  byId("play").textContent = on ? "Pause" : "Play";
  for (const side of shown) if (side.video) on ? side.video.play() : side.video.pause();
}

function step(by) {
  setPlaying(false);
  frame = Math.max(0, frame + by);
  drawFrame();
  for (const side of shown) if (side.video) side.video.currentTime += by / pageData.fps;
}

async function showPair(k) {
  at = Math.min(order.length - 1, Math.max(0, k));
  const entry = order[at];
  const open = pageData.aspects.findIndex((a) => !(votes[entry.pair.id] || {})[a.name]);
  aspect = open < 0 ? 0 : open;
  byId("text").textContent = entry.pair.text;
  mark();
  const playing = timer !== null || shown.length === 0;
  shown = []; /* nothing is drawn before it is there */
  const sides = [put("left", entry.left), put("right", entry.right)];
  try {
    await Promise.all(sides.map((side) => side.ready));
  } catch {
    say("A picture of this pair cannot be read: is the page still in its folder?");
    return;
  }
  if (order[at] !== entry) return; /* another pair was asked for meanwhile */
  shown = sides;
  frame = 0;
  drawFrame();
  const moving = sides.some((side) => side.video || (side.clip && side.clip.count > 1));
  byId("play").hidden = !moving;
  setPlaying(playing && moving);
}

function firstOpen() {
  const k = order.findIndex((entry) => answered(entry) < pageData.aspects.length);
  return k < 0 ? 0 : k;
}

function begin(name) {
  judge = name;
  votes = kept(STORE + "/" + name, {});
  order = makeOrder(name);
  byId("who").textContent = "judge: " + name;
  byId("start").hidden = true;
  byId("judging").hidden = byId("leave").hidden = false;
}

function leave() {
  setPlaying(false);
  judge = null;
  byId("start").hidden = false;
  byId("judging").hidden = byId("leave").hidden = true;
  const names = known().judges;
  byId("known").textContent = names.length ? "Votes in this browser: " + names.join(", ") + "." : "";
  byId("judge").focus();
}

/* ---- controls ---- */

pageData.aspects.forEach((a, k) => {
  const row = byId("aspects").tBodies[0].insertRow();
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.textContent = a.name;
  row.append(heading);
  row.insertCell().textContent = a.question;
  const buttons = row.insertCell();
  ["left", SAME, "right"].forEach((label, side) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", (event) => {
      vote(k, [order[at].left.token, SAME, order[at].right.token][side]);
      if (event.detail) button.blur(); /* a mouse: Enter then goes on to the next pair */
    });
    buttons.append(button);
  });
});

const keys = {
  1: () => vote(aspect, order[at].left.token),
  2: () => vote(aspect, SAME),
  3: () => vote(aspect, order[at].right.token),
  0: () => vote(aspect, null),
  ArrowUp: () => { aspect = Math.max(0, aspect - 1); mark(); },
  ArrowDown: () => { aspect = Math.min(pageData.aspects.length - 1, aspect + 1); mark(); },
  Enter: () => at < order.length - 1 && showPair(at + 1),
  Backspace: () => at > 0 && showPair(at - 1),
  " ": () => setPlaying(timer === null),
  ",": () => step(-1),
  ".": () => step(1),
};

byId("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("judge").value.trim();
  if (!name) return;
  begin(name);
  store();
  showPair(firstOpen());
  document.activeElement.blur(); /* keys are for votes now */
});
byId("previous").addEventListener("click", keys.Backspace);
byId("next").addEventListener("click", keys.Enter);
byId("play").addEventListener("click", keys[" "]);
byId("export").addEventListener("click", exportVotes);
byId("leave").addEventListener("click", leave);
byId("import").addEventListener("change", async (event) => {
  if (event.target.files.length) importVotes(await event.target.files[0].text());
  event.target.value = "";
});
addEventListener("keydown", (event) => {
  if (judge === null || typing(event) || !keys[event.key]) return;
  if ((event.key === " " || event.key === "Enter") && event.target.matches("button")) return;
  event.preventDefault();
  keys[event.key]();
});

const last = known().last;
leave();
if (last !== null) {
  begin(last);
  showPair(firstOpen());
}
