#include <algorithm>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "host/ctl/session.h"

namespace viaduct::ctl {
namespace {

// Subcommands, and groups of options: those are children without a name.
std::vector<const CLI::App*> ChildrenOf(const CLI::App* command, bool groups) {
  return command->get_subcommands(
      [groups](const CLI::App* child) { return child->get_name().empty() == groups; });
}

void AppendOptions(const CLI::App* command, std::vector<std::string>* words) {
  for (const CLI::Option* option : command->get_options()) {
    for (const auto& name : option->get_lnames()) {
      if (std::find(words->begin(), words->end(), "--" + name) == words->end()) {
        words->push_back("--" + name);
      }
    }
  }
}

// Long options and subcommands of one command, as the completion offers them.
std::string Words(const CLI::App* command) {
  std::vector<std::string> words;
  for (const CLI::App* child : ChildrenOf(command, false)) words.push_back(child->get_name());
  AppendOptions(command, &words);
  for (const CLI::App* group : ChildrenOf(command, true)) AppendOptions(group, &words);
  return absl::StrJoin(words, " ");
}

// One `case` branch for each command: its path of words and what may follow, as `shape` has it.
void AppendBranches(const CLI::App* command, const std::string& path, const char* shape,
                    std::string* script) {
  absl::StrAppend(script,
                  absl::StrReplaceAll(shape, {{"@PATH@", path}, {"@WORDS@", Words(command)}}));
  for (const CLI::App* child : ChildrenOf(command, false)) {
    AppendBranches(child, absl::StrCat(path, " ", child->get_name()), shape, script);
  }
}

constexpr char kGlobal[] = "--socket --json --timeout --help";
// Of those that every command takes, the ones whose value is the next word.
constexpr char kTakesValue[] =
    "--socket|-s|--address|-a|--ca|--certificate|--key|--token-file|--key-file|--timeout|-t";

constexpr char kBash[] = R"(# bash completion of viaductctl: source <(viaductctl completion bash)
_viaductctl() {
  local current="${COMP_WORDS[COMP_CWORD]}" path='viaductctl' words='' skip=0 word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if ((skip)); then skip=0; continue; fi
    case "$word" in
    @VALUED@) skip=1 ;;
    -*) ;;
    *) path="$path $word" ;;
    esac
  done
  case "$path" in
@BRANCHES@  esac
  # shellcheck disable=SC2207
  COMPREPLY=($(compgen -W "$words @GLOBAL@" -- "$current"))
  if ((${#COMPREPLY[@]} == 0)); then
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _viaductctl viaductctl
)";

constexpr char kFish[] = R"(# fish completion of viaductctl: viaductctl completion fish | source
function __viaductctl_words
  set -l path viaductctl
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case @VALUED@
        set skip 1
      case '-*'
      case '*'
        set path "$path $word"
    end
  end
  switch $path
@BRANCHES@  end
  string split ' ' -- '@GLOBAL@'
end
complete -c viaductctl -a '(__viaductctl_words)'
)";

void PrintBash(const CLI::App* root) {
  std::string branches;
  AppendBranches(root, "viaductctl", "    '@PATH@') words='@WORDS@' ;;\n", &branches);
  std::cout << absl::StrReplaceAll(
      kBash, {{"@BRANCHES@", branches}, {"@GLOBAL@", kGlobal}, {"@VALUED@", kTakesValue}});
}

void PrintFish(const CLI::App* root) {
  std::string branches;
  AppendBranches(root, "viaductctl", "    case '@PATH@'\n      string split ' ' -- '@WORDS@'\n",
                 &branches);
  const std::string valued = absl::StrReplaceAll(kTakesValue, {{"|", " "}});
  std::cout << absl::StrReplaceAll(
      kFish, {{"@BRANCHES@", branches}, {"@GLOBAL@", kGlobal}, {"@VALUED@", valued}});
}

void PrintZsh(const CLI::App* root) {
  std::cout << "autoload -U +X bashcompinit && bashcompinit\n";
  PrintBash(root);
}

}  // namespace

void AddCompletionCommands(CLI::App* app, Session* session) {
  auto shell = std::make_shared<std::string>();
  AddCommand(app, session, "completion", "script for a shell: source <(viaductctl completion bash)",
             [=] {
               if (*shell == "fish") {
                 PrintFish(app);
               } else {
                 *shell == "zsh" ? PrintZsh(app) : PrintBash(app);
               }
               return kOk;
             })
      ->add_option("shell", *shell)
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

}  // namespace viaduct::ctl
