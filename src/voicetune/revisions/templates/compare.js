"use strict";
// One sound plays at a time. Keys: a digit plays that revision's sound of the current line, j and k change the line.
const lines = [...document.querySelectorAll("article")];
let current = -1;

function select(number) {
  current = Math.min(Math.max(number, 0), lines.length - 1);
  lines[current].focus();
}

function pauseOthers(sound) {
  for (const other of document.querySelectorAll("audio")) if (other !== sound) other.pause();
}

document.addEventListener("play", (event) => {
  pauseOthers(event.target);
  current = lines.indexOf(event.target.closest("article"));
}, true);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !lines.length) return;
  const here = lines.indexOf(document.activeElement.closest("article"));
  if (here >= 0) current = here;
  if (event.key === "j" || event.key === "k") select(current + (event.key === "j" ? 1 : -1));
  if (!/^[1-9]$/.test(event.key)) return;
  const sound = lines[Math.max(current, 0)].querySelector(`[data-revision="${event.key}"]`);
  if (!sound) return;
  if (sound.paused) {
    pauseOthers(sound); // at once; the event `play` comes later
    sound.currentTime = 0;
    sound.play().catch(() => {}); // another key may stop it before it has begun
  } else {
    sound.pause();
  }
});
