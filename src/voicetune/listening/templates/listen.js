"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const $ = (id) => document.getElementById(id);
const STORE = "voicetune-listening-" + test.page;
const COMPARED = [["a", "A is better", "A"], ["tie", "No difference", "N"], ["b", "B is better", "B"]];
const RATED = [[5, "Excellent"], [4, "Good"], [3, "Fair"], [2, "Poor"], [1, "Bad"]].map(([n, word]) => [n, word, String(n)]);
const players = [...document.querySelectorAll(".player")].map((element) => ({
  element,
  button: element.querySelector("button"),
  sound: element.querySelector("audio"),
  bar: element.querySelector("progress"),
}));

let session; // what is exported: page, listener, seed, comparisons, ratings
let trials; // in this listener's order, each with its sides
let current; // the trial on the screen, with `answer` and `shown`; null on the other screens
let kept = true; // whether the browser keeps the session

// --- the session

function begun() {
  const [seed, ...id] = crypto.getRandomValues(new Uint32Array(3));
  const listener = id.map((n) => n.toString(16).padStart(8, "0")).join("");
  return { page: test.page, listener, seed, comparisons: [], ratings: [] };
}

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE));
    const whole = found && found.page === test.page && Array.isArray(found.comparisons) && Array.isArray(found.ratings);
    return whole ? found : null;
  } catch {
    return null;
  }
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(session));
    kept = true;
  } catch {
    kept = false;
  }
  $("forgetful").hidden = kept;
}

const answered = () => session.comparisons.length + session.ratings.length;

function open(one) {
  session = one;
  trials = ordered(session.seed);
  keep();
}

/* Comparisons, then ratings, each in an order drawn from the seed; the sides of a pair are drawn too. */
function ordered(seed) {
  const draw = mulberry32(seed);
  const compared = shuffled(test.comparisons, draw).map((trial) => ({ id: trial.id, sounds: shuffled(trial.sounds, draw) }));
  return [...compared, ...shuffled(test.ratings, draw)];
}

function shuffled(items, draw) {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

/* A generator with a seed, which Math.random has not: T. Ettinger's mulberry32, uniform in [0, 1). */
function mulberry32(seed) {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// --- screens

function show(name) {
  for (const id of ["start", "trial", "end"]) $(id).hidden = id !== name;
  if (name !== "trial") {
    stop();
    current = null;
  }
  scrollTo(0, 0);
}

function showStart() {
  const before = answered();
  $("before").hidden = $("anew").hidden = before === 0;
  $("before").textContent = `${before} of ${trials.length} are answered already.`;
  $("begin").firstChild.textContent = before ? "Go on " : "Begin ";
  show("start");
}

function showTrial() {
  const place = answered();
  if (place === trials.length) return showEnd();
  show("trial");
  const { id, sounds } = trials[place];
  const pair = sounds.length === 2;
  current = { id, sounds, pair, heard: sounds.map(() => false), answer: null, shown: performance.now() };
  $("count").textContent = `${place + 1} of ${trials.length}`;
  $("done").max = trials.length;
  $("done").value = place;
  $("question").textContent = pair ? "Which one sounds better?" : "How good does this speech sound?";
  const { text, language } = test.sounds[sounds[0]];
  $("text").textContent = text;
  $("text").lang = language;
  players.forEach((player, i) => load(player, sounds[i], pair ? `Play ${"AB"[i]}` : "Play", pair ? String(i + 1) : "P"));
  const choices = pair ? COMPARED : RATED;
  $("answers").className = pair ? "three" : "five";
  $("answers").replaceChildren(...choices.map(choice));
  update();
  $("question").focus({ preventScroll: true });
}

function load({ element, button, sound, bar }, id, label, key) {
  element.hidden = id === undefined;
  delete button.dataset.heard;
  bar.value = 0;
  if (id === undefined) return sound.removeAttribute("src");
  button.querySelector(".label").textContent = label;
  button.querySelector("kbd").textContent = key;
  sound.src = "data:audio/flac;base64," + test.sounds[id].flac;
}

function choice([value, word, key]) {
  const button = document.createElement("button");
  const hint = document.createElement("kbd");
  button.type = "button";
  button.value = String(value);
  hint.textContent = key;
  button.append(word, hint);
  button.addEventListener("click", () => answer(value));
  return button;
}

function update(problem) {
  const ready = current.heard.every(Boolean);
  for (const button of $("answers").children) {
    button.disabled = !ready;
    button.setAttribute("aria-pressed", String(button.value === String(current.answer)));
  }
  $("next").disabled = current.answer === null;
  const first = current.pair ? "Play both to the end, then choose." : "Play it to the end, then choose.";
  $("status").textContent = problem || (!ready ? first : current.answer === null ? "Choose; you may play again." : "");
}

function showEnd() {
  const count = answered();
  const whole = count === trials.length;
  $("thanks").textContent = whole ? "Thank you, that was all" : "Thank you";
  $("summary").textContent = whole ? `All ${count} are answered.` : `${count} of ${trials.length} are answered.`;
  $("file").textContent = fileName();
  $("save").disabled = count === 0;
  $("back").hidden = whole;
  $("saved").textContent = "";
  show("end");
  $("thanks").focus({ preventScroll: true });
}

// --- what a listener does

function stop() {
  for (const { sound, button } of players) {
    sound.pause();
    delete button.dataset.playing;
  }
}

async function play(i) {
  if (!current || i >= current.sounds.length) return;
  stop();
  const { sound, button } = players[i];
  sound.currentTime = 0;
  button.dataset.playing = "";
  requestAnimationFrame(function move() {
    players[i].bar.value = sound.duration ? sound.currentTime / sound.duration : 0;
    if (!sound.paused) requestAnimationFrame(move);
  });
  try {
    await sound.play();
  } catch (error) {
    if (error.name === "AbortError") return; // another sound was begun meanwhile
    delete button.dataset.playing;
    update("This browser did not play the sound; try again, or another browser.");
  }
}

function ended(i) {
  if (!current || !players[i].sound.ended) return; // the event came late, and is of a sound that is gone
  delete players[i].button.dataset.playing;
  players[i].bar.value = 1;
  players[i].button.dataset.heard = "";
  current.heard[i] = true;
  update();
}

function answer(value) {
  if (!current.heard.every(Boolean)) return;
  current.answer = value;
  update();
}

function next() {
  if (current.answer === null) return;
  stop();
  const { id: trial, sounds, pair, answer: given, shown } = current;
  const seconds = Math.round((performance.now() - shown) / 100) / 10;
  if (pair) session.comparisons.push({ trial, a: sounds[0], b: sounds[1], choice: given, seconds });
  else session.ratings.push({ trial, score: given, seconds });
  keep();
  showTrial();
}

function anew() {
  if (answered() && !confirm("The answers given here so far are forgotten. Begin anew?")) return;
  open(begun());
  showTrial();
}

const fileName = () => `listener-${session.listener}.json`;

function save() {
  const link = document.createElement("a");
  const address = URL.createObjectURL(new Blob([JSON.stringify(session, null, 1) + "\n"], { type: "application/json" }));
  link.href = address;
  link.download = fileName();
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  $("saved").textContent = `Saved as ${fileName()}, where this browser puts its downloads.`;
}

// --- keys

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const focused = document.activeElement;
  if (event.key === "Enter") {
    // A focused button does what it says, but an answer that is chosen already lets Enter go on.
    if (focused.tagName === "BUTTON" && focused.getAttribute("aria-pressed") !== "true") return;
    event.preventDefault();
    const main = document.querySelector("section:not([hidden]) .main");
    if (!main.disabled) main.click();
    return;
  }
  if (!current) return;
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code); // also where digits need Shift
  const pressed = (digit ? digit[1] : event.key).toUpperCase();
  const plays = current.pair ? { 1: 0, 2: 1, ARROWLEFT: 0, ARROWRIGHT: 1 } : { P: 0, ARROWLEFT: 0, ARROWRIGHT: 0 };
  const chosen = (current.pair ? COMPARED : RATED).find((one) => one[2] === pressed);
  if (pressed in plays) play(plays[pressed]);
  else if (chosen) answer(chosen[0]);
  else return;
  event.preventDefault();
}

players.forEach(({ button, sound }, i) => {
  button.addEventListener("click", () => play(i));
  sound.addEventListener("ended", () => ended(i));
});
$("begin").addEventListener("click", showTrial);
$("next").addEventListener("click", next);
$("leave").addEventListener("click", showEnd);
$("back").addEventListener("click", showTrial);
$("save").addEventListener("click", save);
$("anew").addEventListener("click", anew);
$("another").addEventListener("click", anew);
addEventListener("keydown", key);
addEventListener("beforeunload", (event) => {
  if (!kept && answered()) event.preventDefault();
});

open(stored() || begun());
if (answered() === trials.length) showEnd();
else showStart();
