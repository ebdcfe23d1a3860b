package apply_test

const childEnv = "DAVIT_TEST_APPLY"

func child() int { return 0 }
