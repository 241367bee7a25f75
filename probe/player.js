/* player.js - plays pageData.videos: [{title, fps, frames, samples: [[source, ...], ...]}], two of
 * them in step. Where they have other numbers of frames a second, each shows the frame of the time.
 */
const videos = pageData.videos;
const NONE = -1;
let clips = [];        /* of A, and of B if there is one */
let tick = 0;          /* frames of the faster one */
let timer = null;

const choice = (id) => Number(byId(id).value);
const fastest = () => Math.max(...clips.map((clip) => clip.fps));
const ticks = () => Math.max(...clips.map((clip) => Math.ceil(clip.seconds * fastest() - 1e-6)));

function addOption(select, value, text) {
  const option = document.createElement("option");
  option.value = value;
  option.textContent = text;
  select.append(option);
}

function drawDifference(canvas, ka, kb) {
  const context = canvas.getContext("2d");
  context.globalCompositeOperation = "source-over";
  clips[0].draw(canvas, ka);
  context.globalCompositeOperation = "difference";
  clips[1].draw(canvas, kb);
  canvas.style.filter = `brightness(${byId("gain").value})`;
}

function show() {
  const time = tick / fastest();
  const at = clips.map((clip) => clip.frameAt(time));
  clips.forEach((clip, i) => clip.draw(byId(i ? "show-b" : "show-a").querySelector("canvas"), at[i]));
  if (!byId("show-difference").hidden) drawDifference(byId("show-difference").querySelector("canvas"), at[0], at[1]);
  byId("scrub").value = tick;
  byId("time").textContent = `frame ${at.map((k, i) => `${k + 1} of ${clips[i].count}`).join(" | ")}, ${time.toFixed(2)} s`;
}

function pause() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
}

function play() {
  clearInterval(timer);
  byId("play").textContent = "Pause";
  timer = setInterval(() => {
    tick = (tick + 1) % ticks();
    show();
  }, 1000 / (fastest() * choice("speed")));
}

function go(to) {
  pause();
  tick = Math.min(ticks() - 1, Math.max(0, to));
  show();
}

function caption(id, video) {
  byId(id).querySelector("figcaption").textContent = video ? video.title : "";
}

async function load() {
  const a = videos[choice("a")], b = choice("b") === NONE ? null : videos[choice("b")];
  const k = choice("sample");
  const loaded = [a, b].filter((video) => video && video.samples[k])
    .map((video) => new Clip({ sources: video.samples[k], frames: video.frames, fps: video.fps }));
  try {
    await Promise.all(loaded.map((clip) => clip.ready));
  } catch {
    byId("text").textContent = "A picture of this sample cannot be read: is the page still in its folder?";
    return;
  }
  clips = loaded;
  byId("show-b").hidden = clips.length < 2;
  byId("difference").disabled = clips.length < 2;
  byId("show-difference").hidden = clips.length < 2 || byId("difference").getAttribute("aria-pressed") !== "true";
  clips.forEach((clip, i) => clip.fit(byId(i ? "show-b" : "show-a").querySelector("canvas")));
  clips[0].fit(byId("show-difference").querySelector("canvas"));
  caption("show-a", a);
  caption("show-b", b);
  byId("show-difference").querySelector("figcaption").textContent = "difference";
  byId("text").textContent = pageData.texts[k] || "";
  byId("scrub").max = ticks() - 1;
  tick = Math.min(tick, ticks() - 1);
  show();
  if (timer) play(); /* at the pace of what is shown now */
}

function move(id, by) {
  const select = byId(id);
  const to = select.selectedIndex + by;
  if (to < 0 || to >= select.options.length) return;
  select.selectedIndex = to;
  select.dispatchEvent(new Event("change"));
}

function exchange() {
  if (choice("b") === NONE) return;
  const a = byId("a").value;
  byId("a").value = byId("b").value;
  byId("b").value = a;
  load();
}

function toggleDifference() {
  const on = byId("difference").getAttribute("aria-pressed") !== "true";
  byId("difference").setAttribute("aria-pressed", on);
  load();
}

const keys = {
  " ": () => (timer ? pause() : play()),
  ArrowLeft: () => go(tick - 1),
  ArrowRight: () => go(tick + 1),
  Home: () => go(0),
  End: () => go(ticks() - 1),
  ArrowUp: () => move("speed", 1),
  ArrowDown: () => move("speed", -1),
  n: () => move("sample", 1),
  p: () => move("sample", -1),
  d: () => clips.length > 1 && toggleDifference(),
  x: exchange,
};

videos.forEach((video, i) => {
  addOption(byId("a"), i, video.title);
  addOption(byId("b"), i, video.title);
});
addOption(byId("b"), NONE, "none");
byId("b").value = videos.length > 1 ? 1 : NONE;
for (let k = 0; k < Math.max(...videos.map((video) => video.samples.length)); k++) addOption(byId("sample"), k, k);
for (const id of ["a", "b", "sample"]) byId(id).addEventListener("change", load);
byId("gain").addEventListener("change", show);
byId("speed").addEventListener("change", () => timer && play());
byId("scrub").addEventListener("input", () => go(choice("scrub")));
byId("play").addEventListener("click", keys[" "]);
byId("back").addEventListener("click", keys.ArrowLeft);
byId("forward").addEventListener("click", keys.ArrowRight);
byId("difference").addEventListener("click", toggleDifference);
addEventListener("keydown", (event) => {
  if (typing(event) || !keys[event.key] || (event.key === " " && event.target.matches("button"))) return;
  event.preventDefault();
  keys[event.key]();
});
load();
