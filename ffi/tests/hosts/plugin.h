// A plugin that uses the library.

// Loads a model and encodes a picture. Returns 0.
int plugin_run(const char *model_path, const char *picture_path);

// Destroys both.
int plugin_stop(void);
