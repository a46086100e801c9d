"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const STORE = "voicetune-decisions " + location.href.split(/[?#]/)[0]; // the page's own place, so projects do not mix
const PAGE = 50; // clips on the screen; a browser is slow with thousands of rows
const NONE = { decision: "", text: "" };
const same = (a, b) => a.decision === b.decision && a.text === b.text;
const saved = new Map(data.decisions.map((one) => [one.id, one])); // those of data/decisions.csv
const known = new Set([...data.clips, ...data.left_out, ...data.decisions].map((one) => one.id));
const places = new Map(data.clips.map((one, i) => [one, i])); // worst first
const inOrder = new Intl.Collator("en", { numeric: true }).compare;
const SORTS = { // the value to sort by, and which way is usual (1: ascending)
  worst: [(one) => places.get(one), 1],
  id: [(one) => one.id, 1],
  seconds: [(one) => one.seconds, -1],
};
data.checks.forEach((check, i) => {
  SORTS[`check${i}`] = [(one) => one.figures[i], check.better === "higher" ? 1 : -1];
});

let forgetful = false; // whether the browser keeps nothing
let draft = kept(); // decisions that are not in data/decisions.csv, by id
const past = []; // what each decision replaced: [id, draft entry]
let filter = "all";
let sort = "worst";
let turned = false; // whether the order is reversed
let list = []; // the clips of the filter, in order
let at = -1; // place in the list of the selected clip
let first = 0; // place in the list of the first row on the screen
let editing = false; // whether the text of the selected clip is being edited

// --- decisions

function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE)) || [];
    return new Map(found.filter(([id, one]) => known.has(id) && !same(one, saved.get(id) || NONE)));
  } catch {
    return new Map();
  }
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify([...draft]));
    forgetful = false;
  } catch {
    forgetful = true;
  }
}

const decided = (id) => draft.get(id) || saved.get(id) || NONE;
const isDecided = (id) => !same(decided(id), NONE);

function decide(id, change) {
  past.push([id, draft.get(id)]);
  put(id, { ...decided(id), ...change });
}

function put(id, one) {
  if (!one || same(one, saved.get(id) || NONE)) draft.delete(id);
  else draft.set(id, { decision: one.decision, text: one.text });
  keep();
  count();
}

function undo() {
  if (!past.length) return say("There is nothing to undo.");
  const [id, before] = past.pop();
  put(id, before);
  const place = list.findIndex((one) => one.id === id);
  if (place >= 0) go(place);
  showUnprepared();
  say(`${id}: undone.`);
}

/* The rows of decisions.csv: the old ones in their order, as they are now, and the new ones. */
function rows() {
  const all = new Map([...saved, ...draft]);
  return [...all].filter(([, one]) => !same(one, NONE)).map(([id, one]) => [id, one.decision, one.text]);
}

/* RFC 4180, but each line ends as git has it. */
const csv = (cells) => cells.map((cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",") + "\n";

function save() {
  if (editing) edit(false);
  const lines = [data.columns, ...rows()].map(csv).join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines], { type: "text/csv" }));
  link.download = "decisions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  const formulas = rows().filter((row) => row.some((cell) => /^[=+\-@\t]/.test(cell)));
  $("formulas").hidden = !formulas.length;
  $("formulas").textContent =
    `${formulas.length === 1 ? "One line has a cell that begins" : `${formulas.length} lines have cells that begin`} with =, +, - or @` +
    ` (${formulas[0]?.[0]}). A spreadsheet could run it as a formula, so do not open the file in one.`;
  $("saved").showModal();
}

// --- the list

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

const FILTERS = {
  all: () => true,
  out: (one) => one.out,
  warned: (one) => one.warnings.length > 0,
  decided: (one) => isDecided(one.id),
};

function choose() {
  commit();
  const wanted = $("search").value.trim().toLowerCase();
  const [kind, name] = ($("who").value || "=").split(/=(.*)/s);
  const found = (one) => [one.id, one.text, decided(one.id).text, one.heard, ...[...one.reasons, ...one.warnings].map((r) => r.says)]
    .some((text) => text.toLowerCase().includes(wanted));
  list = data.clips.filter((one) => FILTERS[filter](one) && (!kind || one[kind] === name) && (!wanted || found(one)));
  const [value, way] = SORTS[sort];
  const sign = turned ? -way : way;
  const compare = sort === "id" ? inOrder : (a, b) => a - b;
  list = list.map((one) => [value(one), one]).sort(([a, one], [b, other]) =>
    (a === null) - (b === null) || sign * (a === null ? 0 : compare(a, b)) || places.get(one) - places.get(other)).map((pair) => pair[1]);
  at = list.length ? 0 : -1;
  show(0);
  count();
}

function show(place) {
  first = Math.max(0, Math.floor(place / PAGE) * PAGE);
  const last = Math.min(first + PAGE, list.length);
  $("clips").tBodies[0].replaceChildren(...list.slice(first, last).map((one, i) => row(one, first + i)));
  $("shown").textContent = list.length ? `${first + 1} to ${last} of ${list.length}` : "";
  $("nothing").hidden = list.length > 0;
  $("back").disabled = first === 0;
  $("on").disabled = last === list.length;
}

function count() {
  for (const button of document.querySelectorAll(".filters button")) {
    button.setAttribute("aria-pressed", String(button.value === filter));
    button.querySelector("span").textContent = data.clips.filter(FILTERS[button.value]).length;
  }
  $("undo").disabled = !past.length;
  $("save").classList.toggle("main", draft.size > 0);
  say(forgetful ? "This browser keeps nothing for this page: save the decisions before you close it."
    : draft.size === 0 ? "" : `${draft.size} ${draft.size === 1 ? "decision is" : "decisions are"} not saved.`);
}

function say(text) {
  $("status").textContent = text;
}

function sortBy(value) {
  turned = value === sort && !turned;
  sort = value;
  order();
}

function order() {
  $("sort").value = sort;
  const up = (SORTS[sort][1] === 1) !== turned;
  for (const head of document.querySelectorAll("th[aria-sort]")) {
    const own = head.firstElementChild.value === sort;
    const rising = sort === "worst" ? !up : up; // the worst has the most reasons
    head.setAttribute("aria-sort", own ? (rising ? "ascending" : "descending") : "none");
  }
  choose();
}

// --- a row

function row(one, place) {
  const selected = place === at;
  const element = make("tr", { tabIndex: -1 },
    make("th", { scope: "row" }, make("div", { className: "clip" }, playButton(one), make("b", {}, one.id),
      make("span", { className: "quiet" }, `${one.split}, ${one.speaker}`))),
    make("td", { className: "length" }, `${one.seconds.toFixed(2)} s`, sorted(one)),
    make("td", { className: "text" }, ...texts(one, selected), figures(one)),
    make("td", { className: "wrong" }, mark(one), reasons(one, selected), selected ? actions(one) : ""));
  if (selected) element.setAttribute("aria-current", "true");
  element.addEventListener("click", (event) => {
    if (place !== at && !event.target.closest("button")) select(place, false);
  });
  return element;
}

function playButton(one) {
  const button = make("button", { type: "button", className: "play", "aria-label": `Play ${one.id}` }, playing === one.id ? "■" : "▶");
  button.addEventListener("click", () => {
    select(list.indexOf(one));
    play();
  });
  return button;
}

/* The figure by which the list is sorted. */
function sorted(one) {
  const i = Number(/^check(\d+)$/.exec(sort)?.[1] ?? -1);
  return i < 0 ? "" : make("span", { className: "quiet" }, `${data.checks[i].label} ${figure(one, i)}`);
}

function figure(one, i) {
  const { digits, unit } = data.checks[i];
  const shown = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return one.figures[i] === null ? "not known" : `${one.figures[i].toLocaleString("en", shown)} ${unit}`.trim();
}

function figures(one) {
  const flagged = new Set([...one.reasons, ...one.warnings].map((reason) => reason.check));
  const item = (check, i) => make("li", { className: flagged.has(i) ? "flagged" : "" }, `${check.label} `, make("b", {}, figure(one, i)));
  const items = data.checks.map(item).filter((_, i) => one.figures[i] !== null);
  return make("ul", { className: "figures", "aria-label": "Figures" }, ...items);
}

function texts(one, selected) {
  const now = decided(one.id).text || one.text;
  const language = { lang: one.language, dir: "auto" };
  const [said, heard] = differences(now, one.heard);
  return [
    selected && editing ? editor(one, now) : make("p", { className: "said", ...language }, ...(one.heard ? said : [now])),
    decided(one.id).text ? make("p", { className: "quiet" }, one.text === now ? "corrected" : `corrected; it was: ${one.text}`) : "",
    one.heard ? make("p", { className: "heard", ...language }, make("span", { className: "quiet", lang: "en" }, "heard: "), ...heard) : "",
  ];
}

function editor(one, now) {
  const typed = $("editor")?.value ?? now; // the row may be made anew while somebody types
  const area = make("textarea", { id: "editor", value: typed, rows: 3, lang: one.language, dir: "auto", "aria-label": `The text of ${one.id}` });
  const note = "Enter keeps it, Esc does not. " + (saved.get(one.id)?.text ? "If it is empty, the source's own text comes back at the next run." : "");
  const keepIt = make("button", { type: "button" }, "Keep the text");
  const leave = make("button", { type: "button" }, "Cancel");
  keepIt.addEventListener("click", () => edit(false));
  leave.addEventListener("click", () => edit(false, true));
  return make("div", { className: "editor" }, area, make("p", { className: "quiet" }, note), keepIt, leave);
}

const VERDICTS = { rejected: "bad", "left out": "bad", warned: "part", accepted: "good", kept: "" };
function verdict(one) {
  const { decision } = decided(one.id);
  if (decision) return decision === "reject" ? "rejected" : "accepted";
  return one.reasons.length ? "left out" : one.warnings.length ? "warned" : "kept";
}

function mark(one) {
  const word = verdict(one);
  return make("span", { className: `mark ${VERDICTS[word]}` }, word + (draft.has(one.id) ? ", not saved" : ""));
}

function reasons(one, selected) {
  const items = [...one.reasons, ...one.warnings].map(({ says, check }, i) =>
    make("li", { className: i < one.reasons.length ? "bad" : "part" }, says, selected ? remedy(data.checks[check]) : ""));
  return make("ul", { className: "reasons", "aria-label": "What is wrong" }, ...items);
}

const remedy = (check) => make("span", { className: "quiet remedy" }, `To mend it: ${check.remedy}.`);

function actions(one) {
  const { decision } = decided(one.id);
  const button = (label, key, pressed, act) => {
    const made = make("button", { type: "button", value: label.toLowerCase() }, `${label} `, make("kbd", {}, key));
    if (pressed !== null) made.setAttribute("aria-pressed", String(pressed));
    made.addEventListener("click", act);
    return made;
  };
  return make("div", { className: "actions", role: "group", "aria-label": `Decide about ${one.id}` },
    button("Accept", "a", decision === "accept", () => judge("accept")),
    button("Reject", "r", decision === "reject", () => judge("reject")),
    button("Edit", "e", null, () => edit(true)));
}

/* Both texts as nodes. What only one of them has is marked: the words outside their longest common subsequence. */
function differences(said, heard) {
  const [a, b] = [words(said), words(heard)];
  const length = a.map(() => new Uint16Array(b.length + 1)).concat([new Uint16Array(b.length + 1)]);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i][j] = a[i].key === b[j].key ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const both = [new Set(), new Set()];
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i].key === b[j].key) both[0].add(i++), both[1].add(j++);
    else if (length[i + 1][j] >= length[i][j + 1]) i++;
    else j++;
  }
  return [marked(a, both[0], "unheard"), marked(b, both[1], "misheard")];
}

/* Words with the space after them, or single characters where a script writes no spaces; and what is compared. */
function words(text) {
  const found = text.match(/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]+\s*|\s+/gu) || [];
  return found.map((shown) => ({ shown, key: shown.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]/gu, "") }));
}

function marked(all, common, className) {
  return all.map(({ shown, key }, i) => (common.has(i) || !key ? shown : make("mark", { className }, shown.trimEnd()))).flatMap((node, i) =>
    typeof node === "string" ? [node] : [node, /\s*$/.exec(all[i].shown)[0]]);
}

// --- what a person does

function select(place, focus = true) {
  if (place !== at) commit();
  const before = at;
  at = place;
  if (place < first || place >= first + PAGE) show(place);
  else for (const one of new Set([before, place])) renew(one);
  const element = $("clips").tBodies[0].rows[at - first];
  if (focus) element?.focus({ preventScroll: true });
  element?.scrollIntoView({ block: "nearest" });
}

function renew(place) {
  const old = $("clips").tBodies[0].rows[place - first];
  if (old && list[place]) old.replaceWith(row(list[place], place));
}

function go(place) {
  if (list.length) select(Math.min(Math.max(place, 0), list.length - 1));
}

function judge(decision) {
  const one = list[at];
  if (!one) return;
  commit();
  decide(one.id, { decision: decided(one.id).decision === decision ? "" : decision });
  select(at);
  say(`${one.id}: ${verdict(one)}. ${$("status").textContent}`);
}

function edit(begin, cancel = false) {
  if (!list[at]) return;
  if (!begin && !cancel) commit();
  editing = begin;
  select(at);
  $("editor")?.focus();
}

/* Keep the text that is being edited. */
function commit() {
  if (!editing) return;
  const one = list[at];
  const text = $("editor").value.trim().split(/\s+/).join(" ");
  const own = saved.get(one.id)?.text || "";
  const wanted = text === one.text ? own : text;
  editing = false;
  if (wanted !== decided(one.id).text) decide(one.id, { text: wanted });
}

let loaded = ""; // the id of the clip in the player
let playing = ""; // the same while it sounds
async function play() {
  const one = list[at];
  const player = $("player");
  if (!one) return;
  if (playing === one.id) return player.pause();
  loaded = one.id;
  player.hidden = false;
  player.src = "clips/" + encodeURIComponent(one.file);
  player.setAttribute("aria-label", one.id);
  try {
    await player.play();
  } catch (error) {
    if (error.name === "AbortError") return; // another clip was begun meanwhile
    say(`clips/${one.file} cannot be played: this page has to lie beside the folder clips (dvc checkout data/clips brings it back).`);
  }
}

function sounds(id) {
  const before = playing;
  playing = id;
  for (const one of new Set([before, id])) {
    const place = list.findIndex((other) => other.id === one);
    const button = place < first ? null : $("clips").tBodies[0].rows[place - first]?.querySelector(".play");
    if (button) button.textContent = one === id ? "■" : "▶";
  }
}

// --- what stage prepare left out

let most = PAGE;
function showUnprepared() {
  const all = [...data.left_out].sort((a, b) => wasRejected(b) - wasRejected(a));
  $("unprepared").hidden = !all.length;
  $("unprepared").querySelector("h2").textContent = `Left out by stage prepare: ${all.length}`;
  $("unprepared").querySelector("ul").replaceChildren(...all.slice(0, most).map(unprepared));
  $("more").hidden = all.length <= most;
}

const wasRejected = (one) => saved.get(one.id)?.decision === "reject";

function unprepared(one) {
  const item = make("li", {}, make("b", {}, one.id), make("span", {}, one.reason));
  if (!wasRejected(one)) return item;
  const rejected = decided(one.id).decision === "reject";
  const button = make("button", { type: "button", "aria-label": `${rejected ? "Take back" : "Reject again"}: ${one.id}` }, rejected ? "Take back" : "Reject again");
  button.addEventListener("click", () => {
    decide(one.id, { decision: rejected ? "" : "reject" });
    const place = [...item.parentElement.children].indexOf(item);
    showUnprepared();
    $("unprepared").querySelector("ul").children[place].querySelector("button").focus();
    say(`${one.id}: ${rejected ? "taken back, so the next run makes it a clip again" : "rejected"}. ${$("status").textContent}`);
  });
  item.append(rejected ? "" : make("span", { className: "mark good" }, "taken back, not saved"), button);
  return item;
}

// --- keys, and the beginning

const KEYS = {
  j: () => go(at + 1), ArrowDown: () => go(at + 1), k: () => go(at - 1), ArrowUp: () => go(at - 1),
  " ": play, a: () => judge("accept"), r: () => judge("reject"), e: () => edit(true), u: undo, s: save,
  "/": () => $("search").focus(), "?": () => $("keys").showModal(),
};

function key(event) {
  const where = event.target;
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || where.closest("dialog")) return;
  if (where.id === "editor" && (event.key === "Enter" || event.key === "Escape")) {
    event.preventDefault();
    return edit(false, event.key === "Escape");
  }
  if (where.matches("input, textarea, select")) {
    if (event.key === "Escape" || (event.key === "Enter" && where.id === "search")) {
      where.blur();
      go(at);
    }
    return;
  }
  if (where.matches("audio") || (event.key === " " && where.matches("button"))) return; // they have keys of their own
  const moves = /^[jk]$|^Arrow/.test(event.key);
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.repeat && !moves)) return;
  event.preventDefault();
  act();
}

function fillMenus() {
  const more = (select, options) => select.append(...options.map(([value, label]) => make("option", { value }, label)));
  const known = data.checks.map((check, i) => [`check${i}`, check.label]).filter((_, i) => data.clips.some((one) => one.figures[i] !== null));
  more($("sort"), known);
  for (const kind of ["source", "speaker"]) {
    const names = [...new Set(data.clips.map((one) => one[kind]))].sort(inOrder);
    if (names.length > 1) more($("who"), names.map((name) => [`${kind}=${name}`, `${kind} ${name}`]));
  }
  $("marks").hidden = !data.clips.some((one) => one.heard);
  $("whose").hidden = $("who").options.length === 1;
}

addEventListener("keydown", key);
for (const button of document.querySelectorAll(".filters button")) {
  button.addEventListener("click", () => {
    filter = button.value;
    choose();
  });
}
for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sortBy(button.value));
$("sort").addEventListener("change", () => {
  [sort, turned] = [$("sort").value, false];
  order();
});
$("turn").addEventListener("click", () => sortBy(sort));
$("search").addEventListener("input", choose);
$("who").addEventListener("change", choose);
$("back").addEventListener("click", () => go(first - PAGE));
$("on").addEventListener("click", () => go(first + PAGE));
$("help").addEventListener("click", KEYS["?"]);
$("undo").addEventListener("click", undo);
$("save").addEventListener("click", save);
$("more").addEventListener("click", () => {
  most += PAGE;
  showUnprepared();
});
$("player").addEventListener("play", () => sounds(loaded));
for (const name of ["pause", "ended"]) $("player").addEventListener(name, () => sounds(""));
addEventListener("storage", (event) => {
  if (event.key !== STORE) return; // the page is open twice
  draft = kept();
  show(first);
  showUnprepared();
  count();
});
addEventListener("beforeunload", (event) => {
  if (forgetful && draft.size) event.preventDefault();
});

fillMenus();
choose();
showUnprepared();
