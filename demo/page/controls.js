// What can be set, for all three tabs; saves the file that the server has made.
const form = element.querySelector(".controls");
const ranges = [...form.querySelectorAll("input[type=range]")];
const radios = [...form.querySelectorAll("input[type=radio]")];
const map = form.querySelector("[name=shows_map]");
const [download, all, reset, again] = ["download", "all", "reset", "again"].map(
  (name) => form.querySelector(`[data-action=${name}]`));

const values = () => Object.fromEntries([
  ...ranges.map((field) => [field.name, Number(field.value)]),
  ...radios.filter((field) => field.checked).map((field) => [field.name.split("-")[0], field.value]),
  ["shows_map", map.checked],
]);
const show = () => {
  for (const field of ranges) field.closest(".slider").querySelector("output").value = field.value;
  form.dataset.denoise = values().denoise;
  element.closest(".work")?.dispatchEvent(new CustomEvent("settings", { detail: values() }));
};
const choose = (name, value) => {
  for (const field of radios) {
    if (field.name.startsWith(name)) field.checked = field.value === value;
  }
};
form.addEventListener("input", (event) => {
  if (event.target.name.startsWith("look")) {
    choose("denoise", event.target.value === "paper" ? "off" : "auto"); // the paper has none
  }
  show();
  trigger("input", values());
});
reset.addEventListener("click", () => {
  for (const field of ranges) field.value = field.defaultValue;
  for (const field of radios) field.checked = field.defaultChecked;
  map.checked = false;
  show();
  trigger("input", values());
});
download.addEventListener("click", () => trigger("download"));
all.addEventListener("click", () => trigger("submit"));
again.addEventListener("click", () => trigger("submit"));

let saved = "";
const follow = () => {
  const { several, busy, file } = props.value;
  all.hidden = !several;
  for (const button of [download, all, again]) button.disabled = Boolean(busy);
  download.textContent = several ? "Download this one" : "Download";
  if (!file || file.url === saved) return;
  saved = file.url;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.name;
  document.body.append(link);
  link.click();
  link.remove();
};
watch("value", follow);
follow();
show();
