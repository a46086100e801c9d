"use strict";
const known = JSON.parse(document.getElementById("known").textContent);
const $ = (id) => document.getElementById(id);
let key = ""; // in memory only
let running = null; // the AbortController of what is being spoken

async function ask(address, options = {}) {
  const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
  const answer = await fetch(address, { ...options, headers });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => null);
  throw new Error(said?.error?.message ?? `the service answered ${answer.status}.`);
}

const tell = (text) => ($("status").textContent = text);

/* A refusal is a sentence without a name before it; what else can fail is the network. */
const reason = (error) => (error instanceof TypeError ? "The service cannot be reached." : error.message);

async function showVoices() {
  const { voices } = await (await ask("v1/voices")).json();
  for (const list of [$("first"), $("second")]) {
    for (const { id, language } of voices) list.append(new Option(`${id} (${language})`, id));
  }
  $("second").parentElement.hidden = voices.length < 2;
  $("enter").hidden = true;
  $("ask").hidden = false;
  tell("");
  $("text").focus();
}

function checks(headers, seconds) {
  const value = (name) => headers.get(`x-voicetune-${name}`);
  const found = value("found");
  const left = value("left");
  const cut = Number(value("cut")) ? " Its end was cut." : "";
  const verdict = found
    ? `The checks found that it ${found}: drawn ${value("draws")} times, ${left ? `and it still ${left}` : "and no fault is left"}.`
    : "The checks found no fault.";
  return `${value("parts")} part${value("parts") === "1" ? "" : "s"}, spoken in ${seconds.toFixed(1)} s. ${verdict}${cut}`;
}

async function speak(voice, signal) {
  const begun = performance.now();
  const asked = { model: "voicetune", voice, input: $("text").value, speed: Number($("speed").value),
    seed: Number($("seed").value), response_format: "wav", whole: true };
  const headers = { "Content-Type": "application/json" };
  const answer = await ask("v1/audio/speech", { method: "POST", headers, body: JSON.stringify(asked), signal });
  const sound = URL.createObjectURL(await answer.blob());
  const card = document.importNode($("card").content, true);
  card.querySelector("h2").textContent = voice;
  card.querySelector("audio").src = sound;
  card.querySelector(".checks").textContent = checks(answer.headers, (performance.now() - begun) / 1000);
  Object.assign(card.querySelector("a"), { href: sound, download: `${voice}.wav` });
  return card;
}

async function speakAll(event) {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  $("speak").disabled = true;
  $("stop").disabled = false;
  for (const sound of document.querySelectorAll("audio")) {
    sound.pause();
    URL.revokeObjectURL(sound.src);
  }
  $("heard").replaceChildren();
  tell("Speaking …");
  const voices = [...new Set([$("first").value, $("second").value])].filter(Boolean);
  try {
    const cards = await Promise.all(voices.map((voice) => speak(voice, running.signal)));
    $("heard").replaceChildren(...cards);
    tell("Done.");
    const sound = document.querySelector("audio");
    await sound.play().catch(() => sound.focus());
  } catch (error) {
    tell(error.name === "AbortError" ? "Stopped." : reason(error));
    running.abort();
  }
  running = null;
  $("speak").disabled = false;
  $("stop").disabled = true;
}

$("ask").addEventListener("submit", speakAll);
$("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("ask").hidden) $("ask").requestSubmit();
});
document.addEventListener("play", (event) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
}, true);
$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  showVoices().catch((error) => tell(reason(error)));
});
$("enter").hidden = !known.key;
if (known.key) $("key").focus();
else showVoices().catch((error) => tell(reason(error)));
