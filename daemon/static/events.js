// The events page: a list that can be narrowed, how many in which hour, and one event. What is shown stands in the address.
// Whatever comes from outside becomes text, never markup.

import { address, ask, isNarrowed, isWanted, now, query, read, span } from "./eventask.js";
import { arrange, card, fill } from "./eventcard.js";
import { around, byDay, legend, plot } from "./eventplot.js";
import { current, show, stop } from "./eventview.js";
import { $, count, dayOf, make, midnight } from "./eventwords.js";

const PAGE = 24, MOST_LINES = 6, AGAIN_MS = 10000, COUNT_MS = 15000;
const cards = new Map(); // by id: its item in the list
const again = new Map(); // by kind: when what has failed is tried again
const fresh = new Map(); // by id: events that have come while somebody reads, and are not shown yet
const end = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && more(), { rootMargin: "600px" });
let known = new Map(); // by id: events that are shown
let wanted = read(), names = { cameras: [], labels: [], zones: [] };
let cursor = null, stream = null, round = 0, scrolled = 0, plotted = null, counting = 0;

// --- the list ---

function listed() {
  return [...known.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
}

function showList() {
  const items = [], events = listed();
  let day = "";
  for (const event of events) {
    const began = dayOf(event.started_at, now());
    if (began !== day) {
      const key = `day ${began}`;
      if (!cards.has(key)) cards.set(key, make("li", began, "day"));
      items.push(cards.get(key));
      day = began;
    }
    if (!cards.has(event.id)) cards.set(event.id, card());
    fill(cards.get(event.id), event, address({ ...wanted, event: event.id }));
    items.push(cards.get(event.id));
  }
  arrange($("list"), items);
  for (const [key, item] of cards) if (!item.isConnected) cards.delete(key);
  $("more").hidden = !cursor;
  $("fresh").hidden = !fresh.size;
  $("fresh").textContent = `↑ Show ${count(fresh.size, "new event")}`;
  showEmpty(!events.length);
}

function showEmpty(isEmpty) {
  $("empty").hidden = !isEmpty;
  if (!isEmpty) return;
  const words = isNarrowed(wanted)
    ? [make("b", "No event is like that."), " Choose another camera, zone or time, or show all of them."]
    : [make("b", "No events yet."), " When somebody or something comes into a camera's picture, or into a zone that the roster gives it, that is shown here by itself."];
  $("empty").replaceChildren(...words);
}

async function load(from = null) {
  const turn = from ? round : ++round;
  const found = await ask(`events?${query(wanted, { limit: PAGE, ...(from ? { cursor: from } : {}) })}`);
  if (turn !== round) return; // something else is wanted meanwhile
  if (!from) known = new Map();
  for (const event of found.events) known.set(event.id, event);
  if (!from) fresh.clear();
  cursor = found.cursor;
  showList();
  // It tells of what comes into sight, not of what is in sight still.
  end.unobserve($("more-line"));
  end.observe($("more-line"));
}

async function more() {
  if (!cursor || $("more").disabled) return;
  $("more").disabled = true;
  await attempt("more", () => load(cursor));
  $("more").disabled = false;
}

// --- what comes ---

// New ones move what is below: only where nobody is in the list, with eyes, pointer or keyboard.
function isRead() {
  const list = $("list");
  return current() || list.getBoundingClientRect().top < 0 || list.matches(":hover") || list.contains(document.activeElement);
}

function take(event) {
  learn(event);
  if (current()?.id === event.id) show(event);
  if (known.has(event.id)) {
    if (known.get(event.id).revision > event.revision) return;
    known.set(event.id, event);
  } else if (!isWanted(wanted, event) || (cursor && event.id < cursor)) {
    return;
  } else if (isRead()) {
    fresh.set(event.id, event);
  } else {
    known.set(event.id, event);
  }
  showList();
  countSoon();
}

function showFresh() {
  for (const [id, event] of fresh) known.set(id, event);
  fresh.clear();
  showList();
  scrollTo({ top: 0 });
  $("list").querySelector("a")?.focus({ preventScroll: true });
}

// While nobody sees the page nothing is sent; what came meanwhile is asked for then.
function listen() {
  stream?.close();
  stream = null;
  if (document.hidden) return;
  stream = new EventSource("api/v1/stream?what=event");
  let isAgain = false;
  stream.addEventListener("open", () => {
    if (isAgain) attempt("list", catchUp);
    isAgain = true;
    say("");
  });
  stream.addEventListener("event", (told) => take(JSON.parse(told.data)));
  stream.addEventListener("error", () => {
    say("nothing new is told just now; the daemon is asked again", "bad");
    if (stream?.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN_MS);
  });
}

async function catchUp() {
  const found = await ask(`events?${query(wanted, { limit: PAGE })}`);
  found.events.forEach(take);
}

// --- how many ---

function countSoon() {
  counting ||= setTimeout(() => {
    counting = 0;
    if (!document.hidden) attempt("counts", showCounts);
  }, COUNT_MS);
}

async function showCounts() {
  const turn = round, chosen = span(wanted), [from, to] = around(chosen, now());
  const bounds = { since: new Date(from).toISOString(), until: new Date(to).toISOString() };
  const [since, until] = [Math.max(chosen[0] || from, from), Math.min(chosen[1] || to, to)];
  const lines = new URLSearchParams({ since: new Date(since).toISOString(), until: new Date(until - 1).toISOString() });
  if (wanted.camera) lines.set("camera", wanted.camera);
  const [counts, crossings] = await Promise.all([ask(`events/hours?${query(wanted, bounds)}`), ask(`crossings?${lines}`)]);
  if (turn !== round) return;
  plotted = { chosen, around: [from, to], counts };
  showPlot();
  showCrossings(crossings.filter((each) => !wanted.label || each.label === wanted.label));
}

function showPlot() {
  if (!plotted) return;
  const key = wanted.label && !wanted.camera ? "camera" : "label", kinds = key === "label" ? names.labels : names.cameras;
  $("counts").hidden = false;
  const wide = Math.max(280, $("plot").clientWidth - 20), choose_ = (kind) => go({ ...wanted, [key]: kind, event: "" });
  $("counts-title").textContent = `Events by the ${byDay(plotted.around) ? "day" : "hour"}: ${named(plotted.around)}`;
  const focused = document.activeElement?.getAttribute?.("href"), isIn = $("plot").contains(document.activeElement);
  $("plot").replaceChildren(plot({ ...plotted, wide, key, kinds, wanted: { ...wanted, event: "" } }));
  if (isIn) $("plot").querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  $("legend").replaceChildren(...legend(plotted.counts, key, kinds, choose_));
}

function named([from, to]) {
  if (+midnight(from) === from && +midnight(from, 1) === to) return dayOf(from);
  const day = (at) => new Date(at).toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });
  if (!wanted.time || wanted.time === "day") return "the last 24 hours";
  return `${day(from)} to ${day(to - 1)}`;
}

function showCrossings(crossings) {
  const sums = new Map();
  for (const { line, direction, camera, count: n } of crossings) {
    const place = `${line} (${camera})`, of = sums.get(place) || new Map();
    sums.set(place, of.set(direction, (of.get(direction) || 0) + n));
  }
  const all = (of) => [...of.values()].reduce((a, b) => a + b, 0);
  const said = [...sums].sort(([, a], [, b]) => all(b) - all(a)).slice(0, MOST_LINES)
    .map(([line, of]) => `${line}: ${[...of].map(([direction, n]) => `${n} ${direction}`).join(", ")}`);
  if (sums.size > MOST_LINES) said.push(`${sums.size - MOST_LINES} more, seldom crossed`);
  const words = wanted.time ? "Lines crossed in this time: " : "Lines crossed: ";
  $("crossings").replaceChildren(...(said.length ? [make("b", words), said.join(" · ")] : []));
}

// --- what is chosen ---

function learn(event) {
  const zones = event.zones.map((visit) => visit.zone);
  const more = { cameras: [event.camera], labels: [event.label], zones };
  const isNew = Object.entries(more).some(([key, found]) => found.some((name) => !names[key].includes(name)));
  if (!isNew) return;
  for (const [key, found] of Object.entries(more)) names[key] = [...new Set([...names[key], ...found])].sort();
  showFilters();
}

function localTime(moment) {
  const at = new Date(moment), local = new Date(at - at.getTimezoneOffset() * 60e3);
  return local.toISOString().slice(0, 16);
}

function showFilters() {
  const form = $("filters").elements;
  for (const [name, known_] of [["camera", names.cameras], ["label", names.labels], ["zone", names.zones]]) {
    const select = form[name], value = wanted[name] || "", options = [...new Set([...known_, value])].filter(Boolean);
    select.replaceChildren(select.options[0], ...options.map((each) => new Option(each, each)));
    select.value = value;
  }
  form.time.value = wanted.time || "";
  $("range").hidden = wanted.time !== "range";
  for (const end of ["since", "until"]) form[end].value = wanted[end] ? localTime(wanted[end]) : "";
  $("clear").hidden = !isNarrowed(wanted);
}

function choose() {
  const form = $("filters").elements, next = { camera: form.camera.value, label: form.label.value, zone: form.zone.value, time: form.time.value };
  if (next.time === "range") {
    const [since, until] = span(wanted), at = (text, otherwise) => (text ? new Date(text) : new Date(otherwise)).toISOString();
    next.since = at(form.since.value, since || +midnight(now()));
    next.until = at(form.until.value, until || +midnight(now(), 1));
  }
  go(next);
}

function go(next) {
  location.hash = address(next);
}

// --- one event ---

async function open(id) {
  const event = known.get(id) || fresh.get(id) || await ask(`events/${encodeURIComponent(id)}`);
  if (wanted.event !== id) return;
  const isFirst = $("one").hidden;
  if (isFirst) scrolled = scrollY;
  $("all").hidden = true;
  $("one").hidden = false;
  learn(event);
  show(event);
  $("back").href = address({ ...wanted, event: "" });
  scrollTo({ top: 0 });
  $("one-title").focus({ preventScroll: true });
  await showNeighbours(id);
}

async function showNeighbours(id) {
  const events = listed(), at = events.findIndex((event) => event.id === id);
  const next = async (index, upwards) => events[index]?.id
    || (await ask(`events?${query(wanted, { cursor: id, limit: 1, upwards })}`)).events[0]?.id;
  const found = await Promise.all([next(at > 0 ? at - 1 : -1, true), next(at >= 0 ? at + 1 : -1, false)]);
  if (wanted.event !== id) return;
  for (const [link, to] of [["newer", found[0]], ["older", found[1]]]) {
    if (to) $(link).href = address({ ...wanted, event: to });
    else $(link).removeAttribute("href");
  }
}

function close() {
  const id = current()?.id;
  if ($("one").hidden) return;
  stop();
  $("one").hidden = true;
  $("all").hidden = false;
  document.title = "Events · mosaicd";
  scrollTo({ top: scrolled });
  cards.get(id)?.firstChild.focus({ preventScroll: true });
}

addEventListener("keydown", (event) => {
  if (!current() || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("video, input, select")) return;
  const link = { ArrowLeft: "newer", ArrowRight: "older", Escape: "back" }[event.key];
  if (link && $(link).hasAttribute("href")) $(link).click();
});

// --- all of it ---

function say(words, colour = "") {
  $("words").textContent = words;
  $("words").className = colour;
}

// Does what may fail, one of each kind at a time; says so, and tries again what can come right.
async function attempt(kind, what) {
  clearTimeout(again.get(kind));
  again.delete(kind);
  try {
    await what();
  } catch (error) {
    const isFinal = error.status === 404 || error.status === 422;
    again.set(kind, isFinal ? 0 : setTimeout(() => attempt(kind, what), AGAIN_MS));
    tell(error);
  }
  $("notice").hidden = !again.size;
}

function tell(error) {
  say("");
  const isOff = error.status === 404 && error.message.includes("events.enabled");
  $("all").hidden = isOff || !$("one").hidden;
  if (isOff) {
    const how = "mosaicd follows what it sees, and keeps events of it, if its settings say so. Put this into mosaicd.yaml and restart mosaicd:";
    $("notice").replaceChildren(make("h2", "Events are off"), make("p", how), make("pre", "events:\n  enabled: true"));
  } else if (error.status === 404) {
    const link = make("a", "Show all events");
    link.href = "#";
    $("notice").replaceChildren(make("p", "There is no such event: it was deleted for its age, or the address is not right."), link);
  } else {
    $("notice").replaceChildren(make("p", `${error.message}.`));
  }
}

async function change() {
  const before = wanted;
  wanted = read();
  again.delete("event");
  $("notice").hidden = !again.size;
  showFilters();
  if (!wanted.event) close();
  const isOther = address({ ...before, event: "" }) !== address({ ...wanted, event: "" });
  if (isOther) await Promise.all([attempt("list", load), attempt("counts", showCounts)]);
  if (wanted.event) await attempt("event", () => open(wanted.event));
}

async function begin() {
  names = await ask("events/names");
  say("");
  showFilters();
  listen();
  const one = wanted.event ? attempt("event", () => open(wanted.event)) : null;
  await Promise.all([one, attempt("list", load), attempt("counts", showCounts)]);
}

addEventListener("hashchange", change);
addEventListener("resize", showPlot);
document.addEventListener("visibilitychange", () => {
  listen();
  if (!document.hidden) attempt("list", catchUp);
});
$("filters").addEventListener("change", choose);
$("clear").addEventListener("click", () => go({}));
$("fresh").addEventListener("click", showFresh);
$("more").addEventListener("click", more);
attempt("names", begin);
