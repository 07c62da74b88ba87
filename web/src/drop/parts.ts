// What is fetched when it is first wanted.
import { later } from "./later";

export const Check = later(() => import("./check").then((m) => m.Check));
export const Credential = later(() => import("./credential").then((m) => m.Credential));
export const DeleteFile = later(() => import("./act-dialogs").then((m) => m.DeleteFile));
export const FileDetail = later(() => import("./file-detail").then((m) => m.FileDetail));
export const FolderForm = later(() => import("./folder-form").then((m) => m.FolderForm));
export const Match = later(() => import("./act-dialogs").then((m) => m.Match));
export const Quarantine = later(() => import("./quarantine").then((m) => m.Quarantine));
export const RemoteFolders = later(() => import("./remote").then((m) => m.RemoteFolders));
export const Reprocess = later(() => import("./act-dialogs").then((m) => m.Reprocess));
