// The list of keys that "?" shows.
import type { KeyGroup } from "./dialogs";

const edit: KeyGroup = {
  title: "Objects",
  keys: [
    ["N", "New object"], ["1 to 9", "Choose object"], ["Enter", "Accept object"], ["Esc", "Cancel"], ["Delete", "Remove object"],
    ["F2", "Rename chosen object"], ["M or Shift M", "Next or previous mask"], ["Z or Shift Z", "Undo or redo"],
  ],
};

const tools: KeyGroup = {
  title: "Tools",
  keys: [
    ["V or Shift V", "Add to or take from object"], ["B", "Box"], ["E or Shift E", "Brush or eraser"], ["[ or ]", "Brush size"],
    ["H", "Move picture"], ["Alt Click", "Take from object"], ["Ctrl Click", "Choose object under the pointer"],
  ],
};

const view = (video: boolean): KeyGroup => ({
  title: "Picture",
  keys: [
    ["+ or -", "Zoom"], ["0", "Fit to window"], ["W A S D", "Move cross"], ...(video ? [] : [["← ↑ ↓ →", "Move cross"] as const]),
    ["Shift", "Larger steps"], ["X", "Mark at cross, or corner of box"], ["Shift X", "Take away at cross"],
  ],
});

const page = (video: boolean): KeyGroup => ({
  title: "Page",
  keys: [["O", "Open"], ...(video ? [] : [["G", "Find everything"] as const]), ["?", "Keys"]],
});

const play: KeyGroup = {
  title: "Video",
  keys: [
    ["Space", "Play or pause"], ["← or →", "Step one frame"], ["Shift ← or →", "Step ten frames"], ["Home or End", "First or last frame"],
    ["T", "Track forward"], ["Shift T", "Track both ways"],
  ],
};

export const keyGroups = (video: boolean): readonly KeyGroup[] =>
  video ? [tools, edit, play, view(true), page(true)] : [tools, edit, view(false), page(false)];
