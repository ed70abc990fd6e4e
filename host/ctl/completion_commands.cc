#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "host/ctl/session.h"

namespace viaduct::ctl {
namespace {

// Long options and subcommands of one command, as the completion offers them.
std::string Words(const CLI::App* command) {
  std::vector<std::string> words;
  for (const CLI::App* child : command->get_subcommands([](const CLI::App*) { return true; })) {
    words.push_back(child->get_name());
  }
  for (const CLI::Option* option : command->get_options()) {
    for (const auto& name : option->get_lnames()) words.push_back("--" + name);
  }
  return absl::StrJoin(words, " ");
}

// One `case` branch for each command: its path of words and what may follow.
void AppendBranches(const CLI::App* command, const std::string& path, std::string* script) {
  absl::StrAppend(script, "    '", path, "') words='", Words(command), "' ;;\n");
  for (const CLI::App* child : command->get_subcommands([](const CLI::App*) { return true; })) {
    AppendBranches(child, absl::StrCat(path, " ", child->get_name()), script);
  }
}

constexpr char kBash[] = R"(# bash completion of viaductctl: source <(viaductctl completion bash)
_viaductctl() {
  local current="${COMP_WORDS[COMP_CWORD]}" path='viaductctl' words='' skip=0 word
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if ((skip)); then skip=0; continue; fi
    case "$word" in
    --socket|-s|--address|-a|--ca|--certificate|--key|--token-file|--key-file|--timeout|-t) skip=1 ;;
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

void PrintBash(const CLI::App* root) {
  std::string branches;
  AppendBranches(root, "viaductctl", &branches);
  std::cout << absl::StrReplaceAll(
      kBash, {{"@BRANCHES@", branches}, {"@GLOBAL@", "--socket --json --timeout --help"}});
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
               *shell == "zsh" ? PrintZsh(app) : PrintBash(app);
               return kOk;
             })
      ->add_option("shell", *shell)
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
}

}  // namespace viaduct::ctl
