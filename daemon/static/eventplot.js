// How many events began in which hour, or on which day: bars that are links to the events that they count.

import { address } from "./eventask.js";
import { count, draw, hourAndMinute, make, midnight } from "./eventwords.js";

const HOUR_MS = 3600e3, DAY_MS = 24 * HOUR_MS;
const MOST_DAYS = 31, HOURS_UP_TO = 72;
const HEIGHT = 150, TOP = 16, BOTTOM = 22, LEFT = 34;
const COLOURS = 8;
const SHORT = new Intl.NumberFormat([], { notation: "compact" }); // 2.5K

// What is plotted: the time that is wanted, and what is around it where that is short.
export function around([since, until], now = Date.now()) {
  const end = until || now;
  if (!since) return [Math.ceil(end / HOUR_MS) * HOUR_MS - DAY_MS, Math.ceil(end / HOUR_MS) * HOUR_MS];
  if (end - since >= DAY_MS) return [Math.max(since, end - MOST_DAYS * DAY_MS), end];
  const from = +midnight(since);
  return [from, Math.max(+midnight(from, 1), end)];
}

export function byDay([from, to]) {
  return to - from > HOURS_UP_TO * HOUR_MS;
}

// The steps of the time that is plotted: [start, end] of each, hours as UTC has them or days as the browser has them.
function steps([from, to]) {
  const made = [], isByDay = byDay([from, to]);
  let at = isByDay ? midnight(from) : Math.floor(from / HOUR_MS) * HOUR_MS;
  while (at < to) {
    const next = isByDay ? midnight(at, 1) : at + HOUR_MS;
    made.push([+at, +next]);
    at = next;
  }
  return made;
}

// By step, how many of which kind: what a bar is made of.
function piles(bars, counts, key) {
  const made = bars.map(() => new Map());
  let index = 0;
  for (const each of [...counts].sort((a, b) => Date.parse(a.hour_at) - Date.parse(b.hour_at))) {
    const at = Date.parse(each.hour_at);
    while (index < bars.length - 1 && at >= bars[index][1]) index += 1;
    made[index].set(each[key], (made[index].get(each[key]) || 0) + each.count);
  }
  return made;
}

// A round number above the highest bar.
function ceiling(highest) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(highest, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * unit).find((top) => top >= highest);
}

function words([from, to], pile) {
  const day = new Date(from).toLocaleDateString([], { weekday: "short", day: "numeric", month: "short" });
  const when = to - from > HOUR_MS ? day : `${day}, ${hourAndMinute(from)} to ${hourAndMinute(to)}`;
  return `${when}: ${[...pile].map(([kind, n]) => `${n} ${kind}`).join(", ") || "nothing"}`;
}

function tick(from, isByDay, isFirst) {
  const at = new Date(from);
  if (isByDay) return at.toLocaleDateString([], { day: "numeric", month: isFirst || at.getDate() === 1 ? "short" : undefined });
  return hourAndMinute(from);
}

function colour(kinds, kind) {
  return `c${kinds.indexOf(kind) % COLOURS}`;
}

// What a bar leads to: its own time; where that is chosen already, all that is plotted.
function leadsTo(wanted, [from, to]) {
  return address({ ...wanted, time: "range", since: new Date(from).toISOString(), until: new Date(to).toISOString() });
}

function scale(wide, y, top) {
  return [0, top / 2, top].filter(Number.isInteger).flatMap((n) => [
    draw("line", { x1: LEFT, x2: wide, y1: y(n), y2: y(n), class: "grid" }),
    draw("text", { x: LEFT - 6, y: y(n) + 4, class: "high" }, SHORT.format(n))]);
}

// Returns the picture. `kinds` says which colour is whose, `key` what bars are divided by, `chosen` what time is wanted.
export function plot({ wide, chosen: [since, until], around: [from, to], counts, key, kinds, wanted }) {
  const bars = steps([from, to]), isByDay = byDay([from, to]), made = piles(bars, counts, key);
  const totals = made.map((pile) => [...pile.values()].reduce((a, b) => a + b, 0)), top = ceiling(Math.max(...totals));
  const stepW = (wide - LEFT) / bars.length, high = HEIGHT - TOP - BOTTOM, y = (n) => TOP + high * (1 - n / top);
  const every = Math.ceil((isByDay ? 44 : 52) / stepW), all = count(totals.reduce((a, b) => a + b, 0), "event");
  const svg = draw("svg", { viewBox: `0 0 ${wide} ${HEIGHT}`, height: HEIGHT, role: "group" }, ...scale(wide, y, top));
  svg.setAttribute("aria-label", `${all}, by the ${isByDay ? "day" : "hour"}`);
  if (since && (since > from || (until || to) < to)) {
    const at = (moment) => LEFT + (wide - LEFT) * (moment - bars[0][0]) / (bars.at(-1)[1] - bars[0][0]);
    const ends = Math.min(until || Date.now(), to);
    svg.prepend(draw("rect", { x: at(since), y: TOP, width: Math.max(2, at(ends) - at(since)), height: high, class: "chosen" }));
  }
  bars.forEach(([begin, end], index) => {
    const x = LEFT + index * stepW, isAlone = begin === since && end === until, pile = made[index];
    const mark = { x: x + (isByDay ? stepW / 2 : 0), y: HEIGHT - 6, class: isByDay ? "day" : "" };
    if (index % every === 0) svg.append(draw("text", mark, tick(begin, isByDay, index === 0)));
    if (!totals[index]) return;
    const said = words([begin, end], pile);
    const link = draw("a", { href: leadsTo(wanted, isAlone ? [from, to] : [begin, end]), "aria-label": said });
    const reach = { x, y: TOP, width: stepW, height: high, class: "reach" };
    link.append(draw("title", {}, `${said}${isAlone ? "; click to see all again" : ""}`), draw("rect", reach));
    let sum = 0;
    for (const kind of kinds.filter((each) => pile.has(each))) {
      const foot = y(sum), head = y(sum += pile.get(kind));
      const place = { x: x + stepW * 0.1, width: stepW * 0.8, y: head, height: Math.max(1, foot - head) };
      link.append(draw("rect", { ...place, class: colour(kinds, kind) }));
    }
    svg.append(link);
  });
  return svg;
}

// Who is which colour, and how many: each a button that narrows to it.
export function legend(counts, key, kinds, choose) {
  const sums = new Map();
  for (const each of counts) sums.set(each[key], (sums.get(each[key]) || 0) + each.count);
  return kinds.filter((kind) => sums.has(kind)).map((kind) => {
    const item = make("li"), button = make("button");
    button.type = "button";
    button.title = `only ${kind}`;
    button.append(make("i", "", colour(kinds, kind)), `${kind} ${sums.get(kind)}`);
    button.addEventListener("click", () => choose(kind));
    item.append(button);
    return item;
  });
}
