(file) => {
  // Saves what the server prepared.
  if (!file) return;
  const link = document.createElement("a");
  link.href = file.url;
  link.download = file.name;
  document.body.append(link);
  link.click();
  link.remove();
}
