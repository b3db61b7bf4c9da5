// One event: its clip, its best moment with the way that the object took, and all that is known of it.

import { media, now } from "./eventask.js";
import { boxOf } from "./eventcard.js";
import { $, clock, draw, ending, lasted, make, seconds, steps, title, whole } from "./eventwords.js";

const GROWS_MS = 30000; // after its end a clip is written on for a while
const AGAIN_MS = 2000, MOST_TRIES = 4;

let shown = null; // the event
let waiting = 0; // for more of a clip that grows
let complete = 0; // until the clip is complete
let isPart = false; // what the player has is not all of it

// --- the clip ---

function grows(event) {
  return !event.ended_at || now() - Date.parse(event.ended_at) < GROWS_MS;
}

function clipWords(event) {
  if (!event.has_clip) {
    const why = "There is no clip of it: events of this camera are not recorded (“record” in the roster), or it was deleted for want of room.";
    return [event.ended_at ? why : "There is no clip of it, or not yet."];
  }
  const link = make("a", "Download");
  link.href = media(event, "clip");
  link.download = `${event.id}.mp4`;
  return [grows(event) ? "Still being recorded: this is what there is so far. " : "", link];
}

function showClip(event, isNew) {
  const video = $("clip");
  video.hidden = !event.has_clip;
  if (isNew || !video.dataset.failed) $("clip-words").replaceChildren(...clipWords(event));
  if (!event.has_clip || (!isNew && video.dataset.id === event.id)) return;
  Object.assign(video.dataset, { id: event.id, failed: "" });
  video.style.aspectRatio = event.frame_wh.join(" / ");
  video.setAttribute("aria-label", `clip of ${title(event)}`);
  if (event.has_snapshot) video.poster = media(event, "snapshot");
  else video.removeAttribute("poster");
  fetchClip(event);
}

// One that grows is another one each time; one that is complete need not be sent twice.
function fetchClip(event) {
  isPart = grows(event);
  $("clip").src = `${media(event, "clip")}${isPart ? `&at=${Date.now()}` : ""}`;
}

// Says when the clip is complete, and takes all of it, unless somebody is watching what there was.
function awaitWhole(event) {
  clearTimeout(complete);
  if (!event.has_clip || !event.ended_at || !grows(event)) return;
  complete = setTimeout(() => {
    const video = $("clip");
    if (shown?.id !== event.id || video.dataset.failed) return;
    $("clip-words").replaceChildren(...clipWords(event));
    if (video.paused && !video.currentTime) fetchClip(event);
  }, Date.parse(event.ended_at) + GROWS_MS + 500 - now());
}

export function stop() {
  clearTimeout(waiting);
  clearTimeout(complete);
  const video = $("clip");
  video.pause();
  video.removeAttribute("src");
  video.dataset.id = "";
  video.load();
  shown = null;
}

// A clip that grew while it was watched is asked for anew, and goes on where it was. One may be over though its event
// is not: its length is bounded.
function goOn(tries = 0) {
  if (!shown || !isPart || tries > MOST_TRIES) return;
  const video = $("clip"), event = shown, at = video.currentTime;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (shown?.id !== event.id) return;
    video.addEventListener("loadedmetadata", () => {
      video.currentTime = at;
      if (video.duration > at + 0.3) video.play().catch(() => {});
      else goOn(tries + 1);
    }, { once: true });
    fetchClip(event);
  }, AGAIN_MS * (1 + tries));
}

async function failed() {
  const video = $("clip"), event = shown;
  if (!event || !video.getAttribute("src")) return;
  video.dataset.failed = "yes";
  let why = "This browser cannot play this clip: it is H.265, most likely, which not every browser knows. Download it and play it elsewhere. ";
  try {
    const answer = await fetch(media(event, "clip"), { headers: { Range: "bytes=0-0" } });
    if (!answer.ok) why = `It cannot be shown: ${(await answer.json()).detail}. `;
  } catch {
    why = "The daemon does not answer. ";
  }
  if (shown === event) $("clip-words").replaceChildren(why, clipWords(event).at(-1));
}

// --- its best moment, and its way ---

function pointAt(event, moment) {
  const after = (Date.parse(moment) - Date.parse(event.started_at)) / 1000, way = event.path;
  const next = way.findIndex(([at]) => at >= after);
  if (next <= 0) return way.at(next);
  const [[t1, x1, y1], [t2, x2, y2]] = [way[next - 1], way[next]], part = (after - t1) / (t2 - t1 || 1);
  return [after, x1 + part * (x2 - x1), y1 + part * (y2 - y1)];
}

function way(event) {
  const [w, h] = event.frame_wh, unit = w / 100, place = ([, x, y]) => [x * w, y * h];
  const points = event.path.map(place), line = points.map((at) => at.map(Math.round).join(",")).join(" ");
  const svg = draw("svg", { viewBox: `0 0 ${w} ${h}`, "aria-hidden": "true" }, boxOf(event));
  if (points.length > 1) {
    svg.append(draw("polyline", { points: line, class: "under" }), draw("polyline", { points: line, class: "way" }));
    const [[x1, y1], [x2, y2]] = [points[0], points.at(-1)];
    svg.append(draw("circle", { cx: x1, cy: y1, r: unit * 0.9, class: "begin" }), draw("circle", { cx: x2, cy: y2, r: unit * 0.9, class: "end" }));
    for (const { at, line: name, direction } of event.crossings) {
      const [x, y] = place(pointAt(event, at));
      svg.append(draw("path", { d: `M${x - unit},${y}L${x},${y - unit}L${x + unit},${y}L${x},${y + unit}Z`, class: "across" }));
      svg.append(draw("text", { x: Math.min(x + unit * 1.6, w * 0.8), y: y - unit, "font-size": unit * 2.6 }, `${name}: ${direction}`));
    }
  }
  return svg;
}

function showPicture(event) {
  const picture = $("picture"), before = picture.querySelector("img"), source = media(event, "snapshot");
  const words = `${event.label} on ${event.camera}, in its best moment${event.path.length > 1 ? ", with the way that it took" : ""}`;
  picture.style.aspectRatio = event.frame_wh.join(" / ");
  picture.className = event.has_snapshot ? "" : "bare";
  let image = before;
  if (event.has_snapshot && before?.getAttribute("src") !== source) {
    image = make("img");
    image.src = source;
    image.addEventListener("error", () => { picture.className = "bare"; });
  }
  if (image) image.alt = words;
  picture.replaceChildren(...(event.has_snapshot ? [image] : []), way(event));
  if (!event.has_snapshot) picture.append(make("p", event.ended_at ? "There is no picture of it." : "There is no picture of it yet."));
}

// --- what is known ---

function speed({ median_kmh: median, max_kmh: most }) {
  return `${median.toFixed(0)} km/h${most > median + 1 ? `; at most ${most.toFixed(0)} km/h` : ""}`;
}

function facts(event) {
  const camera = make("a", event.camera);
  camera.href = `./#camera=${encodeURIComponent(event.camera)}`;
  camera.title = "what it shows now";
  return {
    what: `${event.label}, score ${event.best_score.toFixed(2)}`,
    camera,
    began: whole(event.started_at),
    ended: event.ended_at ? whole(event.ended_at) : "",
    why: event.ended_at ? ending(event) : "",
    now: event.ended_at ? "" : "it is still there",
    lasted: `${lasted(seconds(event))}${event.ended_at ? "" : " so far"}`,
    speed: event.speed ? speed(event.speed) : "",
    distance: event.headway ? `${event.headway.seconds.toFixed(1)} s (${event.headway.metres.toFixed(0)} m) to the vehicle ahead` : "",
    stands: event.is_stationary ? "it does not move" : "",
  };
}

function showFacts(event) {
  const known = Object.entries(facts(event)).filter(([, value]) => value).flatMap(([key, value]) => {
    const said = make("dd");
    said.append(value);
    return [make("dt", key), said];
  });
  $("facts").replaceChildren(...known);
  $("steps").replaceChildren(...steps(event).map(([at, what]) => {
    const row = make("tr"), when = make("td");
    when.append(clock(at));
    const after = (Date.parse(at) - Date.parse(event.started_at)) / 1000;
    row.append(when, make("td", `${after < 0 ? "−" : "+"}${Math.abs(after).toFixed(1)} s`, "number"), make("td", what));
    return row;
  }));
}

// --- all of it ---

export function show(event) {
  const isNew = shown?.id !== event.id;
  if (isNew) clearTimeout(waiting);
  shown = event;
  $("one-title").replaceChildren(`${title(event)} · `, clock(event.started_at, { dateStyle: undefined, timeStyle: "medium" }), event.ended_at ? "" : make("span", "now", "now"));
  showClip(event, isNew);
  awaitWhole(event);
  showPicture(event);
  showFacts(event);
  document.title = `${title(event)} · mosaicd`;
}

export function current() {
  return shown;
}

$("clip").addEventListener("ended", () => goOn());
$("clip").addEventListener("error", failed);
$("copy").addEventListener("click", async () => {
  const link = `${location.href.replace(/#.*/, "")}#${shown.id}`;
  try {
    await navigator.clipboard.writeText(link);
    $("copy").textContent = "Copied";
  } catch {
    prompt("The link to this event:", link); // over plain HTTP a page may not write to the clipboard
  }
  setTimeout(() => { $("copy").textContent = "Copy link to this event"; }, AGAIN_MS);
});
