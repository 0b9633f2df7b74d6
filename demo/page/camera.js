// Sends the camera's picture frame by frame, the next one when the last has been answered.
const WIDTH = 640;
const [stage, split, button, message] = [".stage", ".split", "button", ".message"].map(
  (name) => element.querySelector(name));
const [video, result] = [stage.querySelector("video"), stage.querySelector("img")];
const canvas = document.createElement("canvas");
let [stream, settings] = [null, {}];

element.closest(".work").addEventListener("settings", (event) => { settings = event.detail; });
const move = () => stage.style.setProperty("--at", `${split.value}%`);
split.addEventListener("input", move);
move();

const stop = (sentence = "") => {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  stage.classList.add("idle");
  button.textContent = "Start the camera";
  message.textContent = sentence;
};
const follow = async () => {
  let count = 0, since = performance.now();
  while (stream) {
    if (!element.isConnected) return stop();
    if (!video.videoWidth || document.hidden) {
      await new Promise((done) => setTimeout(done, 100));
      continue;
    }
    canvas.width = Math.min(WIDTH, video.videoWidth);
    canvas.height = Math.round(canvas.width * video.videoHeight / video.videoWidth);
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    const image = canvas.toDataURL("image/jpeg", 0.85);
    try {
      const answer = await server.enhance({ ...settings, image });
      if (!stream) return;
      if (answer.error) return stop(answer.error);
      result.src = answer.image;
    } catch {
      return stop("The server does not answer any more.");
    }
    stage.classList.remove("idle");
    count += 1;
    if (performance.now() - since > 1000) {
      const rate = count * 1000 / (performance.now() - since);
      message.textContent = `${rate.toFixed(0)} pictures a second`;
      [count, since] = [0, performance.now()];
    }
  }
};
button.addEventListener("click", async () => {
  if (stream) return stop();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: WIDTH }, audio: false });
  } catch (error) {
    return stop(error.name === "NotFoundError" ? "No camera was found."
      : "The browser did not give the camera; allow it beside the address and start again.");
  }
  video.srcObject = stream;
  await video.play();
  stage.style.setProperty("--w", video.videoWidth);
  stage.style.setProperty("--h", video.videoHeight);
  button.textContent = "Stop the camera";
  follow();
});
if (!navigator.mediaDevices?.getUserMedia) {
  button.disabled = true;
  message.textContent =
    "This browser offers no camera here: it does so for https addresses and 127.0.0.1 alone.";
}
