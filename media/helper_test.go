package media_test

func helperMain() {}
