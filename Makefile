# Two commands do everything: `make demo` and `make test`. Both set up .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
RUN = .venv/bin/python

.PHONY: help setup repair demo test lint doctor clean

help:
	@echo 'make demo    the main job on synthetic rooms, with the tiny model (10 min)'
	@echo 'make test    all tests (10 min)'
	@echo 'make doctor  what is installed, what is missing'
	@echo 'make repair  install again what is missing or was changed in .venv'
	@echo 'make lint    formatter and linter'
	@echo 'MMP3D_CUDA=1 make ...   the same with the CUDA builds of torch and mmcv'

setup:
	@$(PYTHON) tools/bootstrap.py

repair:
	@$(PYTHON) tools/bootstrap.py --repair

demo: setup
	@$(RUN) tools/demo.py

test: setup
	@$(RUN) -m pytest $(ARGS)

doctor: setup
	@$(RUN) -m mmp3d.doctor

lint: setup
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check .

clean:
	rm -rf work_dirs/demo data/synthrooms_demo
