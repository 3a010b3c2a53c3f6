"use strict";
const viewer = document.getElementById("viewer");
const slider = document.getElementById("slider");
const boxes = document.querySelectorAll("input[data-layer]");

function slide() {
  viewer.style.setProperty("--at", slider.value);
}

function toggle(box) {
  document.getElementById(box.dataset.layer).hidden = !box.checked;
}

function drag(event) {
  if (!(event.buttons & 1)) return;
  const frame = viewer.getBoundingClientRect();
  slider.value = 100 * (event.clientX - frame.left) / frame.width;
  slide();
}

slider.addEventListener("input", slide);
viewer.addEventListener("pointerdown", event => {
  viewer.setPointerCapture(event.pointerId);
  drag(event);
});
viewer.addEventListener("pointermove", drag);
for (const box of boxes) box.addEventListener("change", () => toggle(box));

// A browser may bring back what was set before the page was loaded again.
slide();
boxes.forEach(toggle);
