// The chosen photos in a row: press one to see it.
const strip = element.querySelector(".strip");
const WORDS = { waiting: "waiting", opening: "at work", failed: "not brightened", ready: "" };
const tile = (item) => {
  const button = document.createElement("button");
  button.type = "button";
  button.title = WORDS[item.state] ? `${item.name} (${WORDS[item.state]})` : item.name;
  button.setAttribute("aria-label", button.title);
  button.dataset.state = item.state;
  button.disabled = item.state !== "ready";
  if (item.key === props.value.current) button.setAttribute("aria-current", "true");
  if (item.thumbnail) {
    const image = document.createElement("img");
    image.src = item.thumbnail;
    image.alt = "";
    button.append(image);
  }
  button.addEventListener("click", () => trigger("select", { key: item.key }));
  return button;
};
const show = () => {
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "plain remove";
  remove.textContent = "Remove all";
  remove.addEventListener("click", () => trigger("clear"));
  strip.replaceChildren(...props.value.items.map(tile), remove);
};
watch("value", show);
show();
