// An event in the list: its best moment, cut out of the picture, and what is to be said of it in two lines.

import { media } from "./eventask.js";
import { clock, cutShort, doings, draw, lasted, make, seconds } from "./eventwords.js";

const SHAPE = 16 / 9; // of a thumbnail
const ROOM = 2.2; // so many times the object's size is shown
const LEAST = 0.35; // of the picture's width: what is around it says where it is

// The part of the picture that shows the object: [x, y, width, height] in its pixels, in the thumbnail's shape.
export function cut(event) {
  const [frameW, frameH] = event.frame_wh, [x1, y1, x2, y2] = event.snapshot_box || event.best_box;
  const most = Math.min(frameW, frameH * SHAPE);
  const w = Math.min(most, Math.max(ROOM * (x2 - x1), ROOM * (y2 - y1) * SHAPE, LEAST * frameW)), h = w / SHAPE;
  const within = (middle, size, end) => Math.max(0, Math.min(middle - size / 2, end - size));
  return [within((x1 + x2) / 2, w, frameW), within((y1 + y2) / 2, h, frameH), w, h];
}

// Where the object is in the picture; nothing where that is not known, for the picture is of another moment.
export function boxOf(event) {
  const box = event.has_snapshot ? event.snapshot_box : event.best_box;
  if (!box) return "";
  const [x1, y1, x2, y2] = box;
  return draw("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: "box" });
}

function thumbnail(event) {
  const thumb = make("div", "", "thumb"), [x, y, w, h] = cut(event), [frameW, frameH] = event.frame_wh;
  if (event.has_snapshot) {
    const image = make("img");
    image.loading = "lazy";
    image.alt = "";
    image.src = media(event, "snapshot");
    Object.assign(image.style, {
      width: `${100 * frameW / w}%`, height: `${100 * frameH / h}%`, left: `${-100 * x / w}%`, top: `${-100 * y / h}%`,
    });
    image.addEventListener("error", () => thumb.classList.add("bare"));
    thumb.append(image);
  } else {
    thumb.classList.add("bare");
  }
  thumb.append(draw("svg", { viewBox: `${x} ${y} ${w} ${h}`, "aria-hidden": "true" }, boxOf(event)));
  if (!event.ended_at) thumb.append(make("span", "now", "now"));
  thumb.dataset.without = event.ended_at ? "no picture" : "no picture yet";
  return thumb;
}

function text(event) {
  const made = make("div", "", "text"), first = make("p"), did = doings(event), cut = cutShort(event);
  first.append(make("b", event.label), ` · ${event.camera} · `, clock(event.started_at), ` · ${lasted(seconds(event))}`);
  made.append(first);
  if (did.length) made.append(make("p", did.join(" · ")));
  if (cut) made.append(make("p", cut, "wait"));
  return made;
}

export function card() {
  const item = make("li"), link = make("a");
  item.append(link);
  return item;
}

// The same elements as before, so that whoever has the focus keeps it, and a picture that is the same does not blink.
export function fill(item, event, href) {
  const link = item.firstChild, picture = `${event.has_snapshot} ${event.snapshot_box || event.best_box} ${Boolean(event.ended_at)}`;
  link.href = href;
  if (item.event === event) return;
  item.event = event;
  if (item.dataset.picture !== picture) {
    link.querySelector(".thumb")?.remove();
    link.prepend(thumbnail(event));
    item.dataset.picture = picture;
  }
  link.querySelector(".text")?.remove();
  link.append(text(event));
}

// The first so many cards are in this order already, mostly: only what is elsewhere is moved.
export function arrange(list, items) {
  items.forEach((item, index) => {
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] || null);
  });
  while (list.childElementCount > items.length) list.lastElementChild.remove();
}
