// Shows the minutes left, reloads the page when the result has expired, and offers to print.

const left = document.getElementById("left");
const end = Date.now() + 1000 * Number(left.dataset.seconds);

function tick() {
  const seconds = (end - Date.now()) / 1000;
  if (seconds <= 0) {
    location.reload(); // The server answers that the result is gone.
    return;
  }
  const minutes = Math.floor(seconds / 60);
  left.textContent = minutes > 1 ? left.dataset.many.replace("{minutes}", minutes) : left.dataset.one;
  setTimeout(tick, Math.min(15, seconds + 0.5) * 1000);
}
tick();

const print = document.getElementById("print");
print.hidden = false;
print.addEventListener("click", () => window.print());
