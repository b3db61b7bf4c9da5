// What people read of events, and the elements that hold it. Asks nobody.

export const $ = (id) => document.getElementById(id);

export function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function draw(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function seconds(event) {
  return (Date.parse(event.ended_at || event.updated_at) - Date.parse(event.started_at)) / 1000;
}

export function lasted(s) {
  const n = Math.round(s), words = (...parts) => parts.join("\u00a0");
  if (n < 60) return words(n, "s");
  if (n < 3600) return words(Math.floor(n / 60), "min", n % 60, "s");
  return words(Math.floor(n / 3600), "h", Math.floor(n % 3600 / 60), "min");
}

export function count(n, word) {
  return `${n} ${word}${n === 1 ? "" : "s"}`;
}

// --- times: in the browser's zone, the whole of it as the title ---

const WHOLE = { dateStyle: "full", timeStyle: "long" };
const DAY = { weekday: "long", day: "numeric", month: "long" };

export function whole(moment) {
  return new Date(moment).toLocaleString([], WHOLE);
}

export function clock(moment, options = { timeStyle: "medium" }) {
  const made = make("time", new Date(moment).toLocaleTimeString([], options));
  made.dateTime = new Date(moment).toISOString();
  made.title = whole(moment);
  return made;
}

export function hourAndMinute(moment) {
  return new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function midnight(moment, days = 0) {
  const day = new Date(moment);
  day.setHours(0, 0, 0, 0);
  day.setDate(day.getDate() + days);
  return day;
}

export function dayOf(moment, now = Date.now()) {
  const day = +midnight(moment), at = new Date(moment);
  if (day === +midnight(now)) return "Today";
  if (day === +midnight(now, -1)) return "Yesterday";
  return at.toLocaleDateString([], at.getFullYear() === new Date(now).getFullYear() ? DAY : { ...DAY, year: "numeric" });
}

// --- what an event was ---

const ENDINGS = {
  gone: "it left, or was lost from sight",
  camera_down: "the camera went down",
  restart: "mosaicd was interrupted; this is when it was last seen",
  stopped: "mosaicd was stopped, or the camera taken off the roster",
};
const SHORT_ENDINGS = { camera_down: "cut short: camera down", restart: "cut short: interrupted", stopped: "cut short: stopped" };

export function ending(event) {
  return event.ended_at ? ENDINGS[event.ending] || event.ending || "" : "it is still there";
}

// What a card says of it besides label, camera and time.
export function doings(event) {
  const zones = [...new Set(event.zones.map((visit) => visit.zone))];
  const loitered = event.zones.some((visit) => visit.has_loitered);
  return [
    zones.length ? `${zones.length === 1 ? "zone" : "zones"} ${zones.join(", ")}` : "",
    loitered ? "loitered" : "",
    ...event.crossings.slice(0, 3).map(({ line, direction }) => `→ ${direction} over ${line}`),
    event.crossings.length > 3 ? `and ${event.crossings.length - 3} more` : "",
    event.speed ? `${Math.round(event.speed.median_kmh)}\u00a0km/h` : "",
    event.is_stationary ? "stands still" : "",
  ].filter(Boolean);
}

export function cutShort(event) {
  return event.ended_at ? SHORT_ENDINGS[event.ending] || "" : "";
}

// All that it did, in the order in which it did it: [when, what].
export function steps(event) {
  const found = [[event.started_at, "began"], [event.best_at, `was seen best (score ${event.best_score.toFixed(2)})`]];
  for (const visit of event.zones) {
    found.push([visit.entered_at, `came into zone ${visit.zone}`]);
    if (!visit.left_at) continue;
    const stay = lasted((Date.parse(visit.left_at) - Date.parse(visit.entered_at)) / 1000);
    found.push([visit.left_at, `left zone ${visit.zone} after ${stay}${visit.has_loitered ? ": it loitered" : ""}`]);
  }
  for (const each of event.crossings) found.push([each.at, `crossed line ${each.line}: ${each.direction}`]);
  if (event.ended_at) found.push([event.ended_at, `ended: ${ending(event)}`]);
  return found.sort(([a], [b]) => Date.parse(a) - Date.parse(b));
}

export function title(event) {
  return `${event.label} · ${event.camera}`;
}
