// Shows what /api/v1 says: the status every two seconds, pictures while the page is seen, events as they come.
// Whatever comes from outside becomes text, never markup.
"use strict";

const STATUS_MS = 2000, PICTURE_MS = 500, SIGHTINGS_MS = 1000, PATIENCE_MS = 10000, AGAIN_MS = 10000, TOLD_MS = 10000, SHOWN = 100;
const PAUSE_MS = 10000; // what a camera sees after a longer pause is a line of its own
const $ = (id) => document.getElementById(id);
const shots = new Map(); // by mosaic: {number, image, url}
const fresh = new Map(); // by camera: its newest sighting that is not shown yet
const lines = new Map(); // by camera: {item, from, last} of its newest line of sightings
const asked = new Set(); // orders on their way
let events = null;
let status = null, hiding = 0;

function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function age(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.round(seconds / size)} ${unit}`;
  }
  return `${Math.round(seconds)} s`;
}

function clock(moment) {
  const made = make("time", new Date(moment).toLocaleTimeString());
  made.dateTime = new Date(moment).toISOString();
  return made;
}

function stateOf(camera) {
  if (camera.state === "stalled") return [camera.reason === "frozen" ? "frozen" : "stalled", "bad"];
  if (!camera.is_up && camera.reason) return [`down: ${camera.reason}`, "bad"];
  if (!camera.is_up) return [camera.state, "wait"];
  if (camera.flaws.length) return [camera.flaws.join(", "), "wait"];
  return camera.is_asleep ? ["asleep", "good"] : ["live", "good"];
}

// --- what is asked of the daemon ---

async function ask(path, method = "GET") {
  const answer = await fetch(`api/v1/${path}`, { method, signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status === 401) location.assign("login");
  const found = await answer.json();
  if (answer.ok) return found;
  throw new Error([found.detail, found.remedy].filter(Boolean).join(": "));
}

// Once a person is sure, order it and say what came of it.
async function order(path, question, done) {
  if (asked.has(path) || (question && !confirm(question))) return;
  asked.add(path);
  let words = done;
  try {
    await ask(path, "POST");
  } catch (error) {
    words = `Not done: ${error.message}.`;
  }
  asked.delete(path);
  $("told").textContent = words;
  $("told").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { $("told").hidden = true; }, TOLD_MS);
  await refresh();
}

// Whoever has the focus in a table keeps it when the rows are made anew.
function showRows(body, rows) {
  const focused = body.contains(document.activeElement) ? document.activeElement.id : "";
  body.replaceChildren(...rows);
  if (focused) $(focused)?.focus();
}

// --- mosaics ---

function figureOf(mosaic) {
  const id = `mosaic-${mosaic.name}`;
  if ($(id)) return $(id);
  const figure = make("figure"), picture = make("div", "", "picture"), image = make("img"), tiles = make("div", "", "tiles");
  figure.id = id;
  image.alt = `mosaic ${mosaic.name}`;
  tiles.append(...mosaic.cameras.map(() => {
    const tile = make("a");
    tile.append(make("b"), make("i"));
    return tile;
  }));
  picture.append(image, tiles);
  figure.append(picture, make("figcaption"));
  $("wall").append(figure);
  shots.set(mosaic.name, { number: 0, image, url: "" });
  return figure;
}

// A tile stays the same element, so that it keeps the focus.
function showTile(tile, name, camera) {
  const [state, colour] = camera ? stateOf(camera) : ["empty", "none"];
  if (camera) tile.href = `#camera=${name}`;
  else tile.removeAttribute("href");
  tile.className = colour;
  tile.firstChild.textContent = name || "";
  tile.lastChild.textContent = state;
}

function showMosaics(cameras) {
  const names = new Set(status.mosaics.map((mosaic) => mosaic.name));
  for (const [name, shot] of shots) {
    if (names.has(name)) continue;
    URL.revokeObjectURL(shot.url);
    shots.delete(name);
    $(`mosaic-${name}`).remove();
  }
  for (const mosaic of status.mosaics) {
    const figure = figureOf(mosaic), tiles = figure.querySelector(".tiles").children;
    mosaic.cameras.forEach((name, index) => showTile(tiles[index], name, cameras.get(name)));
    const words = mosaic.apart || (mosaic.is_answered ? "" : "not answered");
    const shed = mosaic.shed_ratio > 0.1 ? ` · ${Math.round(100 * mosaic.shed_ratio)} % shed` : "";
    figure.classList.toggle("old", Boolean(words));
    figure.querySelector("figcaption").replaceChildren(
      make("b", mosaic.name), make("span", `${mosaic.worker || "no worker"}${shed}`),
      make("span", words || `answer ${mosaic.last_answer_age_s.toFixed(1)} s ago`, words ? "bad" : ""));
  }
}

// Only what is on the screen is asked for, and what nobody asks for is not drawn.
function isWanted(name, image) {
  const camera = chosen(), { top, bottom, height } = image.getBoundingClientRect();
  return camera ? camera.mosaic === name : height > 0 && bottom > 0 && top < innerHeight;
}

async function look() {
  if (!document.hidden) {
    const wanted = [...shots].filter(([name, shot]) => isWanted(name, shot.image));
    // One that fails is asked for again; the status says that the daemon is gone.
    await Promise.allSettled(wanted.map(([name, shot]) => lookAt(name, shot)));
  }
  setTimeout(look, PICTURE_MS);
}

async function lookAt(name, shot) {
  const path = `api/v1/mosaics/${encodeURIComponent(name)}/picture?within_s=0&after=${shot.number}`;
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS) });
  if (answer.status !== 200) return;
  const content = await answer.blob();
  if (shots.get(name) !== shot) return;
  URL.revokeObjectURL(shot.url);
  shot.number = Number(answer.headers.get("etag").replaceAll('"', ""));
  shot.url = URL.createObjectURL(content);
  shot.image.src = shot.url;
  showCameraPicture(name);
}

// --- one camera ---

function chosen() {
  const match = /^#camera=(.+)$/.exec(location.hash);
  return match && status ? named(decodeURIComponent(match[1])) : null;
}

function named(name) {
  return [...status.cameras, ...status.disabled].find((camera) => camera.name === name);
}

function pathOf(camera) {
  return `cameras/${camera.name}/${camera.why ? "enable" : "disable"}`;
}

function switchCamera() {
  const camera = chosen();
  if (!camera) return;
  const question = `Switch ${camera.name} off? It is not watched until somebody switches it on again.`;
  order(pathOf(camera), camera.why ? "" : question, `${camera.name} is switched ${camera.why ? "on" : "off"}.`);
}

function showCamera() {
  const camera = chosen();
  $("camera").hidden = !camera;
  $("mosaics").hidden = Boolean(camera);
  if (!camera) return;
  $("camera-title").textContent = camera.name;
  $("camera-events").href = `events#camera=${camera.name}`;
  $("switch").textContent = camera.why ? "Switch on" : "Switch off";
  $("switch").disabled = camera.by_hand === false;
  $("camera-picture").hidden = Boolean(camera.why);
  if (camera.why) {
    const remedy = camera.by_hand ? "" : "; it is enabled there, not here";
    $("camera-facts").replaceChildren(make("dt", "state"), make("dd", `${camera.why}${remedy}`));
    return;
  }
  $("camera-picture").setAttribute("aria-label", `what ${camera.name} shows`);
  const counts = (of) => Object.entries(of).filter(([, n]) => n).map(([key, n]) => `${key} ${n}`).join(", ") || "none";
  const facts = {
    state: `${stateOf(camera)[0]} for ${age(camera.since_s)}`,
    mosaic: `${camera.mosaic}, tile ${camera.tile + 1}`,
    picture: camera.frame_wh.join(" × "),
    "key frames": camera.key_frame_interval_s ? `every ${camera.key_frame_interval_s.toFixed(1)} s` : "not known",
    frames: `${camera.frames_received} received, ${camera.frames_decoded} decoded, ${camera.frames_analyzed} analyzed`,
    "not used": counts(camera.frames_dropped),
    connects: `${camera.connects}; failures: ${counts(camera.failures)}`,
    sightings: counts(camera.sightings),
  };
  $("camera-facts").replaceChildren(
    ...Object.entries(facts).flatMap(([key, value]) => [make("dt", key), make("dd", value)]));
}

function showCameraPicture(mosaic) {
  const camera = chosen();
  if (!camera || camera.why || camera.mosaic !== mosaic) return;
  const image = shots.get(mosaic).image, canvas = $("camera-picture");
  image.decode().then(() => {
    // Its tile, without the bars that make up for another shape.
    const tileW = image.naturalWidth / 2, tileH = image.naturalHeight / 2, [frameW, frameH] = camera.frame_wh;
    const scale = frameW ? Math.min(tileW / frameW, tileH / frameH) : 0;
    const w = Math.round(frameW * scale) || tileW, h = Math.round(frameH * scale) || tileH;
    const x = (camera.tile % 2) * tileW + Math.round((tileW - w) / 2), y = (camera.tile >> 1) * tileH + Math.round((tileH - h) / 2);
    canvas.width = w;
    canvas.height = h;
    canvas.getContext("2d").drawImage(image, x, y, w, h, 0, 0, w, h);
  }, () => {});
}

// --- tables ---

function row(...cells) {
  const made = make("tr");
  made.append(...cells);
  return made;
}

function linked(name) {
  const link = make("a", name), cell = make("td");
  link.href = `#camera=${name}`;
  link.id = `row-${name}`;
  cell.append(link);
  return cell;
}

function showCameras() {
  const live = status.cameras.map((camera) => {
    const [state, colour] = stateOf(camera);
    const unused = Object.entries(camera.frames_dropped).filter(([why]) => why !== "rate" && why !== "undecoded");
    const seen = Object.values(camera.sightings).reduce((a, b) => a + b, 0);
    return row(
      linked(camera.name), make("td", state, colour), make("td", age(camera.since_s), "number"), make("td", camera.frame_wh.join(" × ")),
      make("td", camera.frames_analyzed, "number"), make("td", unused.reduce((a, [, n]) => a + n, 0), "number"),
      make("td", seen, "number"), make("td", camera.flaws.join(", ") || "–"));
  });
  const off = status.disabled.map((camera) => {
    const why = make("td", camera.why, "wait");
    why.colSpan = 7;
    return row(linked(camera.name), why);
  });
  showRows($("camera-rows"), [...live, ...off]);
}

function restartButton(name) {
  const button = make("button", "Restart"), path = `workers/${name}/restart`;
  button.type = "button";
  button.id = `restart-${name}`;
  button.setAttribute("aria-label", `Restart ${name}`);
  const question = `Restart ${name}? Others answer its mosaics meanwhile.`;
  button.addEventListener("click", () => order(path, question, `${name} is being restarted.`));
  return button;
}

function showWorkers() {
  showRows($("worker-rows"), status.processes.map((each) => {
    const memory = make("td");
    if (each.memory_limit_mib) {
      const bar = make("progress", "", "quota");
      bar.max = each.memory_limit_mib;
      bar.value = each.memory_mib;
      memory.append(bar);
    }
    memory.append(`${Math.round(each.memory_mib)}${each.memory_limit_mib ? ` of ${each.memory_limit_mib}` : ""} MiB`);
    const deaths = Object.entries(each.restarts).filter(([, n]) => n);
    const total = make("td", deaths.reduce((a, [, n]) => a + n, 0), "number");
    const orders = make("td");
    if (each.kind === "worker") orders.append(restartButton(each.name));
    total.title = deaths.map(([cause, n]) => `${cause}: ${n}`).join(", ");
    return row(
      make("td", each.name), make("td", each.device || "–"), make("td", each.phase, each.is_up ? "good" : "bad"), memory,
      make("td", each.generation, "number"), total, make("td", each.last_cause || "–"),
      make("td", each.changed.join(", ").replaceAll("_", " ") || "–"), orders);
  }));
}

// --- what happens ---

function add(list, item) {
  list.prepend(item);
  while (list.childElementCount > SHOWN) list.lastElementChild.remove();
}

function showSighting(event) {
  const found = new Map(), at = Date.parse(event.captured_at), known = lines.get(event.camera);
  for (const seen of event.sightings) found.set(seen.label, [...(found.get(seen.label) || []), seen.score]);
  const words = [...found].map(([label, scores]) => `${scores.length} ${label} (${Math.max(...scores).toFixed(2)})`);
  const goesOn = known && known.item.isConnected && at - known.last < PAUSE_MS;
  const line = goesOn ? known : { item: make("li"), from: at };
  line.last = at;
  lines.set(event.camera, line);
  const since = at - line.from >= 1000 ? make("span", ` for ${age((at - line.from) / 1000)}`, "faint") : "";
  line.item.replaceChildren(clock(line.from), make("b", event.camera), ` ${words.join(", ")}`, since);
  if (!goesOn) add($("sightings"), line.item);
}

function showFresh() {
  for (const event of fresh.values()) showSighting(event);
  fresh.clear();
}

function showTransition(event) {
  const item = make("li"), why = [event.reason, event.detail].filter(Boolean).join(": ");
  item.append(
    clock(event.at * 1000), `${event.kind} ${event.name} `, make("b", event.state, event.state === "up" ? "good" : "bad"),
    why ? ` (${why})` : "");
  add($("transitions"), item);
}

async function showPast() {
  const [sightings, transitions] = await Promise.all(
    ["sightings?limit=100", "transitions"].map((what) => ask(what)));
  for (const list of ["sightings", "transitions"]) $(list).replaceChildren();
  sightings.reverse().forEach(showSighting);
  transitions.reverse().forEach(showTransition);
}

// While nobody sees the page nothing is sent; what came meanwhile is shown then.
function listen() {
  events?.close();
  if (document.hidden) return;
  events = new EventSource("api/v1/stream?what=sighting&what=transition");
  events.addEventListener("open", () => {
    // It may be another daemon, which counts anew.
    for (const shot of shots.values()) shot.number = 0;
    showPast().catch(() => {});
  });
  events.addEventListener("sighting", (event) => {
    const told = JSON.parse(event.data);
    fresh.set(told.camera, told);
  });
  events.addEventListener("transition", (event) => showTransition(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

// --- all of it ---

async function refresh() {
  try {
    status = await ask("status");
    $("words").textContent = status.words;
    $("words").className = status.is_ready ? "good" : "wait";
    $("notices").replaceChildren(...status.notices.map((notice) => make("li", notice)));
    $("notices").hidden = !status.notices.length;
    showMosaics(new Map(status.cameras.map((camera) => [camera.name, camera])));
    showCamera();
    showCameras();
    showWorkers();
  } catch (error) {
    $("words").textContent = `the daemon does not answer (${error.message})`;
    $("words").className = "bad";
  }
}

addEventListener("hashchange", () => {
  showCamera();
  const camera = chosen();
  if (camera) {
    showCameraPicture(camera.mosaic);
    scrollTo(0, 0);
    $("camera-title").focus();
  } else {
    document.querySelector(location.hash || "main")?.scrollIntoView();
  }
});
$("switch").addEventListener("click", switchCamera);
document.addEventListener("visibilitychange", listen);

async function begin() {
  await refresh();
  listen();
  look();
  setInterval(() => document.hidden || refresh(), STATUS_MS);
  setInterval(showFresh, SIGHTINGS_MS);
}

begin();
