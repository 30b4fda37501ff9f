# Runs the recipes of a makefile inside an image. For GNU make 3.82 or newer.
#
#   ENVBOX_IMAGE := vmibuild
#   include envbox.mk
#
#   hello: hello.c                      # runs inside vmibuild
#           cc -o $@ $<
#
#   install: hello                      # runs here
#           install -m 755 hello $(DESTDIR)/usr/bin
#   $(call envbox-outside,install)
#
# Variables, to be set before the include, in the environment, or on make's
# command line:
#
#   ENVBOX_IMAGE  the image; required
#   ENVBOX_MOUNT  the directory that is mounted at its own path and holds the
#                 sources; the current one, which else has to lie below it.
#                 Without blanks, at which make splits it, and without a colon
#   ENVBOX        the command; `envbox`
#   ENVBOX_FLAGS  further options of `envbox shell`, such as `--network host`
#
# What to know:
#
# - Every recipe line is a shell of its own, as always in make: one start of the
#   container a line. `.ONESHELL:` makes it one a recipe.
# - `$(shell ...)` after the include runs inside too: assign what it says with
#   `:=`, so that it runs once.
# - A sub-make inside reads the makefile again, sees ENVBOX_INSIDE, and stays
#   where it is. With `+` before it, it gets what any sub-make gets: the flags,
#   the variables of make's command line, and its share of `-jN`.
# - `$(MAKE)` is the path of the make outside. For a sub-make where that differs
#   from the image's, write `+make`.
# - Exported variables stay outside. To let one in:
#   `ENVBOX_FLAGS := --env NAME`, or `--env NAME=value`.

ifndef ENVBOX_INSIDE

ENVBOX ?= envbox
ENVBOX_MOUNT ?= $(CURDIR)
override ENVBOX_MOUNT := $(patsubst %/,%,$(ENVBOX_MOUNT))

ifndef ENVBOX_IMAGE
$(error ENVBOX_IMAGE is not set: name the image that the recipes run in)
endif
ifneq ($(words $(ENVBOX_MOUNT)),1)
$(error ENVBOX_MOUNT has to be one directory without blanks: "$(ENVBOX_MOUNT)")
endif
ifneq ($(findstring :,$(ENVBOX_MOUNT)),)
$(error ENVBOX_MOUNT has to be a directory without a colon: "$(ENVBOX_MOUNT)")
endif
ifeq ($(filter $(ENVBOX_MOUNT) $(ENVBOX_MOUNT)/%,$(CURDIR)),)
$(error $(CURDIR) does not lie in ENVBOX_MOUNT, which is "$(ENVBOX_MOUNT)")
endif

# SHELL is looked up in PATH where it is not a path, and .SHELLFLAGS is split at
# blanks (GNU make manual, 5.3.2). Because SHELL is not /bin/sh, make hands every
# line to it, however simple.
SHELL := $(ENVBOX)
.SHELLFLAGS := shell $(ENVBOX_IMAGE) --volume $(ENVBOX_MOUNT):$(ENVBOX_MOUNT) \
    --workdir $(CURDIR) --env ENVBOX_INSIDE=1 $(ENVBOX_FLAGS) -c

# $(call envbox-outside,TARGETS): the recipes of TARGETS run here. The targets
# that they need do not inherit it.
define envbox-outside
$(eval $(1): private SHELL := /bin/sh)$(eval $(1): private .SHELLFLAGS := -c)
endef

else

# Inside there is nothing to leave.
envbox-outside :=

endif
